"""A sidecar inside a program."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import sidecar as sidecar_package
from durabletask.sidecar import ManualClock, Server, Sidecar, SidecarOptions, StoreError
from tests.builders.sidecar import complete, connected, timer

if TYPE_CHECKING:
    from pathlib import Path


async def test_it_serves_at_the_address_that_the_block_is_given() -> None:
    sidecar = Sidecar()
    with sidecar as address:
        assert address == sidecar.address
        assert address.startswith("127.0.0.1:")
        async with connected(address) as peer:
            await peer.start()
            await peer.decide(await peer.work().next(), complete(1, '"done"'))
            assert (await peer.completed()).output == '"done"'


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    with Sidecar(tmp_path / "tasks.db"):
        pass

    after = {thread for thread in threading.enumerate() if "sidecar" in thread.name}
    assert after <= before
    with Sidecar(tmp_path / "tasks.db"):
        pass


def test_two_sidecars_run_side_by_side() -> None:
    with Sidecar() as first, Sidecar() as second:
        assert first != second


def test_it_has_no_address_while_it_is_not_running() -> None:
    sidecar = Sidecar()
    with sidecar:
        pass

    with pytest.raises(RuntimeError, match="is not running"):
        _ = sidecar.address


def test_a_coroutine_can_be_run_on_its_loop_but_only_while_it_runs() -> None:
    async def thread() -> str:
        return threading.current_thread().name

    sidecar = Sidecar()
    with sidecar:
        assert sidecar.run(thread()) == "durabletask-sidecar"

    with pytest.raises(RuntimeError, match="is not running"):
        sidecar.run(thread())


def test_an_error_at_the_start_is_raised_by_the_call_that_starts_it(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").write_text("certainly not a database of ours")

    with pytest.raises(StoreError):
        Sidecar(tmp_path / "tasks.db").start()


def test_it_may_be_closed_twice_and_started_again() -> None:
    sidecar = Sidecar()
    sidecar.start()
    sidecar.close()
    sidecar.close()

    with sidecar as address:
        assert address


async def test_its_clock_may_be_moved_from_the_program(tmp_path: Path) -> None:
    clock = ManualClock()
    with Sidecar(clock=clock) as address:
        async with connected(address) as peer:
            await peer.start()
            items = peer.work()
            await peer.decide(await items.next(), timer(1, clock.now() + timedelta(days=365)))

            clock.advance(timedelta(days=365))

            event = (await items.next()).orchestrator_request.new_events[-1]
            assert event.timer_fired.timer_id == 1


def test_importing_the_package_loads_nothing_that_takes_long(tmp_path: Path) -> None:
    heavy = "('grpc', 'sqlite3', 'asyncio', 'ssl', 'betterproto2')"

    ended = run(
        f"import sys, durabletask.sidecar; print([m for m in {heavy} if m in sys.modules])",
        tmp_path,
    )

    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_every_name_that_the_package_offers_is_there() -> None:
    for name in sidecar_package.__all__:
        assert getattr(sidecar_package, name).__name__ == name


@pytest.mark.parametrize(
    ("make", "missing", "additional"),
    [(Sidecar, {"keepalive"}, set()), (Server, set(), {"store", "make_host"})],
)
def test_every_option_is_a_keyword_argument_with_the_same_default(
    make: type[Sidecar | Server], missing: set[str], additional: set[str]
) -> None:
    options = {field.name: field.default for field in fields(SidecarOptions)}

    parameters = inspect.signature(make).parameters
    given = {name: each.default for name, each in parameters.items()}

    assert given.keys() == options.keys() - missing | additional
    assert all(given[name] == options[name] for name in options.keys() - missing)


def test_a_sidecar_can_be_made_of_its_options(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"

    with Sidecar.from_options(SidecarOptions(path)) as address:
        assert address.startswith("127.0.0.1:")

    assert path.exists()


@pytest.mark.parametrize("make", [Sidecar, Server])
@pytest.mark.parametrize(
    "retention", [timedelta(0), timedelta(days=-1), timedelta(days=36_501), timedelta.max], ids=str
)
def test_a_retention_out_of_range_is_refused(
    make: type[Sidecar | Server], retention: timedelta
) -> None:
    with pytest.raises(ValueError, match="must be greater than 0 and at most 36500 days"):
        make(retention=retention)


@pytest.mark.parametrize("make", [Sidecar, Server])
@pytest.mark.parametrize("retention", [30, 0.5, "30 days"])
def test_a_retention_that_is_no_timedelta_is_refused(
    make: type[Sidecar | Server], retention: Any
) -> None:
    with pytest.raises(TypeError, match="retention must be a timedelta"):
        make(retention=retention)


@pytest.mark.parametrize("make", [Sidecar, Server])
def test_the_longest_retention_and_none_are_taken(make: type[Sidecar | Server]) -> None:
    make(retention=timedelta(days=36_500))
    make(retention=None)


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_program_that_does_not_close_it_still_ends(tmp_path: Path) -> None:
    program = "from durabletask.sidecar import Sidecar; print(Sidecar('tasks.db').start())"

    ended = run(program, tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("127.0.0.1:")
    # SQLite removes its log only when the file is closed.
    assert not (tmp_path / "tasks.db-wal").exists()


def test_a_program_that_fails_with_it_running_still_ends(tmp_path: Path) -> None:
    program = (
        "from durabletask.sidecar import Sidecar\n"
        "sidecar = Sidecar('tasks.db')\n"
        "sidecar.start()\n"
        "raise SystemExit(3)"
    )

    ended = run(program, tmp_path)

    assert (ended.returncode, ended.stderr) == (3, "")


def test_an_interrupt_while_it_starts_ends_the_program(tmp_path: Path) -> None:
    program = """
import signal, threading
from durabletask.sidecar import ManualClock, Sidecar

interrupted = threading.Event()

def interrupt(*_):
    interrupted.set()
    raise KeyboardInterrupt

class Clock(ManualClock):
    # The server asks for the time while it starts.
    def now(self):
        if not interrupted.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            interrupted.wait()
        return super().now()

signal.signal(signal.SIGINT, interrupt)
try:
    Sidecar('tasks.db', clock=Clock()).start()
except KeyboardInterrupt:
    print([each.name for each in threading.enumerate() if 'sidecar' in each.name])
"""

    ended = run(program, tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[]\n", "")
