"""The disk: full, slow, read-only, a file cut short, damaged, gone, or of a newer version.

Each is one clear error, loses nothing that was acknowledged, and ends with its cause.
"""

from __future__ import annotations

import asyncio
import ctypes
import random
import sqlite3
import tempfile
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import messages, methods
from durabletask.sidecar import Sidecar
from durabletask.sidecar.server import Server
from durabletask.sidecar.store import Key, StoreError
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.store.queries import EndedQuery, EntityQuery, InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore

from .raw_client import RawClient, connected
from .suites import Options, Row
from .target import refusal, sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NAME = "disk"

HUB = "default"
_CANNOT_START = 2
_INPUT = "x" * 3000
_PAGE = 4096


def prove(options: Options) -> Iterator[Row]:
    """Every case once."""
    for what, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            figure = case(Path(folder, "tasks.db"), options.seed)
        yield Row(what, figure, holds=True)


def full(file: Path, _seed: int) -> str:
    """Nothing acknowledged is lost, the log says it once, and it goes on when there is room."""
    return asyncio.run(_full(file))


async def _full(file: Path) -> str:
    with sidecar(file=file) as target:
        async with connected(target.address) as raw_client:
            acknowledged = await _start(raw_client, range(20))
            target.may_write(5_000_000)
            acknowledged += await _start(raw_client, range(20, 2000))
            target.may_write(_PAGE)  # what was left had room for a start that changes fewer pages
            refusals = [await _refusal(raw_client, f"refused-{number}") for number in range(50)]
            assert {code for code, _ in refusals} == {grpc.StatusCode.UNAVAILABLE}, refusals[0]
            assert all("cannot store" in text for _, text in refusals), refusals[0]
            assert len(target.logged) == 1, target.logged
            target.may_write(None)
            assert await raw_client.completes_an_orchestration("other", "afterwards")
            assert len(target.logged) == 2, target.logged
    with sidecar(file=file) as target:
        async with connected(target.address) as raw_client:
            there = await _there(raw_client)
    lost = set(acknowledged) - there
    assert not lost, lost
    assert not {each for each in there if each.startswith("refused")}, there
    return f"{len(acknowledged)} kept, {len(refusals)} refused"


def slow(_file: Path, _seed: int) -> str:
    """Nothing is acknowledged before it is stored, and nobody gives up meanwhile."""
    store = _GatedStore()
    with Sidecar.of(lambda: Server(store=store)) as address:
        asyncio.run(_slow(store, address))
    return "nothing acknowledged early"


async def _slow(store: _GatedStore, address: str) -> None:
    async with connected(address) as raw_client:
        store.gate.clear()
        starting = asyncio.create_task(_start(raw_client, [1]))
        await asyncio.to_thread(store.entered.wait)
        assert not starting.done()
        assert store.load(Key(HUB, "kept-1")) is None
        store.gate.set()
        assert await starting == ["kept-1"]
        assert await raw_client.completes_an_orchestration(HUB, "afterwards")


class _GatedStore(MemoryStore):
    """Stores nothing while its gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def commit(self, changes: Sequence[Any]) -> None:
        if not self.gate.is_set():
            self.entered.set()
        self.gate.wait()
        super().commit(changes)


def read_only_file(file: Path, _seed: int) -> str:
    asyncio.run(_fill(file))
    file.chmod(0o444)
    return _refused(file, "readonly", _be_nobody_special)


def read_only_folder(file: Path, _seed: int) -> str:
    folder = file.parent / "folder"
    folder.mkdir()
    folder.chmod(0o555)
    return _refused(folder / "tasks.db", "Permission denied", _be_nobody_special)


def _be_nobody_special() -> None:
    """Give up what root may do with the files of others, and with his own."""
    drop, override, search = 24, 1, 2
    for capability in (override, search):
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


def newer(file: Path, _seed: int) -> str:
    asyncio.run(_fill(file))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = file.read_bytes()
    told = _refused(file, "newer durabletask-sidecar")
    assert file.read_bytes() == before
    return told


def gone(file: Path, _seed: int) -> str:
    """The file is gone, and its log is not: SQLite would make a new file and delete the log."""
    asyncio.run(_fill(file))
    log = file.with_name(f"{file.name}-wal")
    log.write_bytes(file.read_bytes())
    file.unlink()
    told = _refused(file, "put the file back")
    assert log.exists()
    return told


def _refused(file: Path, reason: str, prepare: Callable[[], None] | None = None) -> str:
    code, text = refusal(file, prepare)
    assert code == _CANNOT_START, text
    assert text.count("\n") == 1, text
    assert reason in text, text
    assert str(file) in text, text
    return "one line, exit code 2"


def cut_short(file: Path, seed: int) -> str:
    """A file that ends too early is refused, wherever it ends."""
    asyncio.run(_fill(file))
    whole = file.read_bytes()
    rng = random.Random(seed)
    lengths = {*range(_PAGE, len(whole), _PAGE), *(rng.randrange(1, len(whole)) for _ in range(40))}
    for length in sorted(lengths):
        file.write_bytes(whole[:length])
        complaint = _complaint(_open, file)
        assert complaint, f"a file of {length} bytes instead of {len(whole)} is accepted"
    file.write_bytes(whole[: len(whole) // 2])
    _refused(file, str(file))
    return f"{len(lengths)} lengths"


def damaged(file: Path, seed: int) -> str:
    """What is unreadable is an error of the store, wherever the damage is."""
    asyncio.run(_fill(file))
    whole = file.read_bytes()
    rng = random.Random(seed)
    refused = 0
    tries = 200
    for _ in range(tries):
        file.write_bytes(_spoil(rng, whole))
        refused += bool(_complaint(_read_everything, file))
    assert refused
    return f"{tries} kinds of damage, {refused} found"


def _complaint(use: Callable[[Path], None], file: Path) -> str:
    """What the store says against the file; all that it may raise is an error of its own."""
    try:
        use(file)
    except StoreError as error:
        text = str(error)
    else:
        return ""
    assert "\n" not in text, text
    return text


def _open(file: Path) -> None:
    SqliteStore(file).close()


def _spoil(rng: random.Random, whole: bytes) -> bytes:
    spoiled = bytearray(whole)
    size = rng.choice((1, 4, 16, 512, _PAGE))
    at = rng.randrange(len(whole) // size) * size
    spoiled[at : at + size] = rng.choice((rng.randbytes(size), bytes(size)))
    return bytes(spoiled)


def _read_everything(file: Path) -> None:
    with closing(SqliteStore(file)) as store:
        for summary in list(store.instances(HUB, InstanceQuery())):
            key = Key(HUB, summary.instance_id)
            store.load(key)
            store.history(key)
            store.children(key)
        for entity in list(store.entities(HUB, EntityQuery())):
            store.load_entity(Key(HUB, entity.entity_id))
        list(store.outstanding_tasks())
        list(store.due(None, datetime.max.replace(tzinfo=UTC)))
        list(store.ended(HUB, EndedQuery()))


async def _fill(file: Path) -> None:
    """Leave a file with some of everything in it."""
    with sidecar(file=file) as target:
        async with connected(target.address) as raw_client:
            assert await raw_client.completes_an_orchestration(HUB, "ended")
            await _start(raw_client, range(20))
            signal = messages.SignalEntityRequest(instance_id="@counter@a", name="add")
            await raw_client.ask(methods.SIGNAL_ENTITY, signal)


async def _start(raw_client: RawClient, numbers: Any) -> list[str]:
    """Start instances until one is refused; the ids of those that were acknowledged."""
    acknowledged = []
    for number in numbers:
        instance_id = f"kept-{number}"
        if await _refusal(raw_client, instance_id) is not None:
            break
        acknowledged.append(instance_id)
    return acknowledged


async def _refusal(raw_client: RawClient, instance_id: str) -> Any:
    request = messages.CreateInstanceRequest(
        instance_id=instance_id, name="order", input=_INPUT, tags={"a": "b"}
    )
    try:
        await raw_client.ask(methods.START_INSTANCE, request)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return None


async def _there(raw_client: RawClient) -> set[str]:
    request = messages.QueryInstancesRequest(query=messages.InstanceQuery())
    found = await raw_client.ask(methods.QUERY_INSTANCES, request)
    return {state.instance_id for state in found.orchestration_state}


CASES: dict[str, Callable[[Path, int], str]] = {
    "full, then not": full,
    "slow": slow,
    "a read-only file": read_only_file,
    "a read-only folder": read_only_folder,
    "a file of a newer version": newer,
    "a file that is gone, but its log": gone,
    "a file cut short": cut_short,
    "a damaged file": damaged,
}
