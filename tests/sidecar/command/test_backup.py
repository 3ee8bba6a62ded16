"""The command `backup`, while a sidecar uses the file and while none does."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.command import main
from durabletask.sidecar.store import Key, StoreError, backups
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import HUB, EngineDriver
from tests.builders.sidecar import complete, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.builders.sidecar import Peer

PATIENCE = 30
MIB = 1024 * 1024
COMPLETED = messages.OrchestrationStatus.COMPLETED


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with one instance, which no sidecar uses."""
    path = tmp_path / "tasks.db"
    with closing(SqliteStore(path)) as store:
        EngineDriver(store).start("a")
    return path


def backup(*arguments: object) -> int:
    return main(["backup", *map(str, arguments)])


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def ids(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT instance_id FROM origins").fetchall()
    return {instance_id for (instance_id,) in found}


def grow(path: Path, size: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        statement = "INSERT INTO history VALUES ('default', 'a', 0, zeroblob(?))"
        connection.execute(statement, (size,))
        connection.commit()


def test_a_sidecar_starts_on_a_backup(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"

    assert backup("--db", source, target) == 0

    with closing(SqliteStore(target)) as store:
        assert store.load(Key(HUB, "a")) is not None


def test_a_backup_gives_back_what_it_no_longer_needs_like_the_file(
    source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "backup.db"

    backup("--db", source, target)

    with closing(sqlite3.connect(target)) as copy:
        incremental = 2
        assert copy.execute("PRAGMA auto_vacuum").fetchone() == (incremental,)


def test_a_backup_has_the_permissions_of_its_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    source.chmod(0o640)

    backup("--db", source, target)

    assert target.stat().st_mode & 0o777 == 0o640


def test_a_backup_leaves_no_other_files(source: Path, tmp_path: Path) -> None:
    before = names(tmp_path)

    backup("--db", source, tmp_path / "backup.db")

    assert names(tmp_path) == before | {"backup.db"}


def test_an_existing_file_is_not_overwritten(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "backup.db"
    target.write_text("precious")

    assert backup("--db", source, target) == 2

    assert target.read_text() == "precious"
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_is_overwritten_by_force(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("precious no more")

    assert backup("--db", source, "--force", target) == 0

    assert ids(target) == {"a"}


def test_a_file_that_is_created_meanwhile_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"

    def write(_done: int, _total: int) -> None:
        target.write_text("precious")

    with pytest.raises(StoreError):
        backups.copy(source, target, overwrite=False, progress=write)

    assert target.read_text() == "precious"
    assert names(tmp_path) == {"tasks.db", "tasks.db.lock", "backup.db"}


def test_not_even_by_force_is_the_file_replaced_by_its_own_backup(source: Path) -> None:
    assert backup("--db", source, "--force", source) == 2
    assert ids(source) == {"a"}


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", ".lock"])
def test_not_even_by_force_is_a_part_of_the_file_replaced(source: Path, suffix: str) -> None:
    part = source.with_name(source.name + suffix)
    before = part.read_bytes() if part.exists() else None

    assert backup("--db", source, "--force", part) == 2

    assert (part.read_bytes() if part.exists() else None) == before


@pytest.mark.parametrize("served_as", ["served.db", "link.db"])
def test_not_even_by_force_is_a_file_in_use_overwritten(
    source: Path, tmp_path: Path, served_as: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "served.db"
    (tmp_path / "link.db").symlink_to(target)
    with closing(SqliteStore(tmp_path / served_as)):
        assert backup("--db", source, "--force", target) == 2

    assert "in use" in capsys.readouterr().err
    assert ids(target) == set()


def test_what_a_killed_sidecar_left_in_the_log_is_read_and_left_there(
    source: Path, tmp_path: Path
) -> None:
    link, log = tmp_path / "link.db", tmp_path / "tasks.db-wal"
    link.symlink_to(source)
    with closing(SqliteStore(source)) as store:
        EngineDriver(store).start("b")
        left, whole = log.read_bytes(), source.read_bytes()
    log.write_bytes(left)
    source.write_bytes(whole)

    for name in (source, link):
        assert backup("--db", name, "--force", tmp_path / "backup.db") == 0

    assert log.read_bytes() == left
    assert ids(tmp_path / "backup.db") == {"a", "b"}


def test_a_log_that_a_killed_sidecar_left_is_not_made_a_part_of_the_backup(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "backup.db"
    log = tmp_path / "backup.db-wal"
    log.write_bytes(b"changes of another file")

    assert backup("--db", source, "--force", target) == 2

    assert str(log) in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["missing", "empty", "foreign", "garbage", "folder"])
def test_a_file_that_is_not_a_sidecars_is_refused_in_one_line(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / wrong
    if wrong == "empty":
        path.touch()
    elif wrong == "foreign":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE books (title)")
    elif wrong == "garbage":
        path.write_bytes(b"certainly not a database" * 1000)
    elif wrong == "folder":
        path.mkdir()

    assert backup("--db", path, tmp_path / "backup.db") == 2

    error = capsys.readouterr().err
    assert str(path) in error
    assert error.count("\n") == 1
    assert "backup.db" not in names(tmp_path)


def test_a_missing_folder_is_refused_in_one_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup("--db", source, tmp_path / "nowhere" / "backup.db") == 2
    assert "nowhere" in capsys.readouterr().err


def test_what_the_log_has_grown_by_while_a_backup_was_made_is_given_back(
    source: Path, tmp_path: Path
) -> None:
    log, large = tmp_path / "tasks.db-wal", 65 * MIB
    with closing(SqliteStore(source, synchronous="normal")) as store:
        hub = EngineDriver(store)

        def write(_done: int, _total: int) -> None:
            while (size := log.stat().st_size) < large:
                hub.start(f"large-{size}", input="x" * 16_000_000)

        backups.copy(source, tmp_path / "backup.db", overwrite=False, progress=write)
        grown = log.stat().st_size
        # Written back by the one, begun anew by the other.
        hub.start("b")
        hub.start("c")

        assert large <= grown
        assert log.stat().st_size < large


@pytest.mark.skipif(sys.platform == "win32", reason="does not tell what can only be read")
def test_a_file_where_nothing_can_be_written_is_read_all_the_same(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "medium").mkdir()
    kept = source.rename(tmp_path / "medium" / "kept.db")
    seen: set[str] = set()
    told = os.statvfs(kept)
    read_only = os.statvfs_result((*told[:8], told.f_flag | os.ST_RDONLY, *told[9:]))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)

    backups.copy(
        kept,
        tmp_path / "backup.db",
        overwrite=False,
        progress=lambda *_: seen.update(names(kept.parent)),
    )

    assert seen == {"kept.db"}
    assert ids(tmp_path / "backup.db") == {"a"}


def test_progress_counts_up_to_all(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    backups.copy(
        source,
        tmp_path / "backup.db",
        overwrite=False,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert seen[-1] == (source.stat().st_size, source.stat().st_size)


def test_long_backups_print_their_progress(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grow(source, 100 * MIB)

    backup("--db", source, tmp_path / "backup.db")

    told = capsys.readouterr().err.splitlines()
    assert len(told) == 10
    assert told[-1] == "copied 100 of 100 MiB"


class Impatient(io.StringIO):
    """Standard error of a user who interrupts the command at its first progress message."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__()
        self._by = by

    def write(self, text: str) -> int:
        if "copied" in text:
            signal.raise_signal(self._by)
        return super().write(text)


@pytest.fixture
def _interruptible() -> Iterator[None]:
    # A process of pytest-xdist ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_backup_leaves_no_file(
    source: Path, tmp_path: Path, by: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(source, 100 * MIB)
    before = names(tmp_path)
    monkeypatch.setattr(sys, "stderr", Impatient(by))

    assert backup("--db", source, tmp_path / "backup.db") == 130

    assert names(tmp_path) == before


async def make_backup(source: Path, target: Path) -> None:
    """By the command, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "durabletask.sidecar"),
        *("backup", "--db", str(source), str(target)),
        stdout=subprocess.DEVNULL,
    )
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0


async def keep_starting(peer: Peer, acknowledged: list[str]) -> None:
    for number in itertools.count():
        instance_id = await peer.start(instance_id=f"i{number}", input=f'"{number}"')
        acknowledged.append(instance_id)


async def answer_all(peer: Peer, count: int) -> None:
    """Complete so many orchestrations."""
    items = peer.work()
    for _ in range(count):
        await peer.decide(await items.next(), complete(0, '"done"'))
    items.cancel()


@pytest.mark.slow
async def test_what_was_acknowledged_before_a_backup_under_load_is_in_it_and_runs_on(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "tasks.db", tmp_path / "backup.db"
    acknowledged: list[str] = []
    async with serving(source) as peer:
        load = asyncio.create_task(keep_starting(peer, acknowledged))
        async with asyncio.timeout(PATIENCE):
            while len(acknowledged) < 200:
                await peer.state("i0")
        before = list(acknowledged)

        await make_backup(source, target)

        after = list(acknowledged)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
    # Otherwise there was no load during the backup.
    assert len(after) > len(before)

    restored = ids(target)
    assert set(before) <= restored
    async with serving(target) as peer:
        await answer_all(peer, len(restored))
        states: list[Any] = [await peer.state(instance_id) for instance_id in before]
    assert {state.orchestration_status for state in states} == {COMPLETED}
    assert [state.input for state in states] == [f'"{n}"' for n in range(len(before))]
