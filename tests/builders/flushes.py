"""Commits that wait for the disk where a test wants it, and for as long as it wants."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from durabletask.sidecar.commit.flushing import Flushing, FlushPace
from durabletask.sidecar.host import Host
from durabletask.sidecar.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Commit, CommitInProgress, Committer


class AlwaysSlow(FlushPace):
    """Has every flush made on the thread, whatever is measured."""

    def is_next_on_thread(self) -> bool:
        return True


class WorthHolding(FlushPace):
    """Has every flush made on the loop, and results held for turns that are taken ahead."""

    def is_next_on_thread(self) -> bool:
        return False

    def typical(self) -> float:
        return 1.0


class AlwaysQuick(FlushPace):
    """Has every flush made on the loop, whatever is measured."""

    def is_next_on_thread(self) -> bool:
        return False


def on_thread() -> Flushing:
    """Every flush on a real thread."""
    return Flushing(AlwaysSlow())


def host_on_loop(committer: Committer, clock: Clock, new_id: Callable[[], str]) -> Host:
    """A host for tests that take turns with its loop: the disk of the day changes nothing."""
    return Host(committer, clock, new_id, flushing=Flushing(AlwaysQuick()))


class FlushesOnDemand(Executor):
    """Stands in for the thread: what is submitted is done when the test says so."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], Future[Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((lambda: fn(*args, **kwargs), future))
        return future

    @property
    def is_any_waiting(self) -> bool:
        return bool(self._waiting)

    def do(self) -> None:
        """Do the one that waits longest."""
        flush, future = self._waiting.pop(0)
        try:
            future.set_result(flush())
        except BaseException as error:
            future.set_exception(error)


def apart(commit: CommitInProgress) -> Commit:
    """Let the commit wait for the disk on another thread, and end it."""
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(commit.flush).result()
        except BaseException:
            commit.roll_back()
            raise
    return commit.complete()


class HeldStore(SqliteStore):
    """Lets a commit end only while its gate is open; one on a thread, that is."""

    def __init__(self, path: Any) -> None:
        super().__init__(path, synchronous="normal")
        self.gate = threading.Event()
        self.entered = threading.Event()

    def flush(self) -> None:
        self.entered.set()
        self.gate.wait()
        super().flush()
