"""A whole sidecar without gRPC, whose store can fail or crash at a commit, and its workers.

Committer, group commit, dispatcher, leases and completions are the real ones, on an event loop
that runs only while a test lets it; work items and answers are encoded messages. When the store
crashes, everything in memory is gone, and the next sidecar starts with what the store holds.

With `flushes_apart`, every commit waits for the disk apart from the loop; `meanwhile` is called
while one does. With `turns_ahead`, workers keep sessions, and results are held for the turns
that they lead to; `while_ahead` is called then, and the calls are made that it returns.
`while_held` is the same for a completion that is held for whatever comes next.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.commit.flushing import Flushing
from durabletask.sidecar.errors import CommitFailedError
from durabletask.sidecar.host import Host
from durabletask.sidecar.store import StoreError
from durabletask.sidecar.work.streams import Subscription
from tests.builders.engine import HUB
from tests.builders.flushes import AlwaysSlow, FlushesOnDemand, WorthHolding
from tests.crash.power_cuts import PowerCut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from datetime import datetime

    from durabletask.sidecar.store import Change, EntityChange, Store, Transaction
    from durabletask.sidecar.work.streams import WorkStream

    Call = Callable[[Host], Coroutine[Any, Any, Any]]

# Rounds of the loop until a submission is stored, published, sent and read.
_ROUNDS = 12

# It tells of every commit that fails, and here they fail on purpose.
logging.getLogger("durabletask.sidecar").addHandler(logging.NullHandler())


class Fate(enum.Enum):
    """What becomes of the next commit."""

    STORED = "stored"
    REFUSED = "refused"
    """The disk is full; the sidecar lives on."""
    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"

    @property
    def is_kept(self) -> bool:
        """Whether the store holds it."""
        return self in (Fate.STORED, Fate.DIES_AFTER)

    @property
    def is_deadly(self) -> bool:
        return self in (Fate.DIES_BEFORE, Fate.DIES_AFTER)


class FatefulStore:
    """Another store, with a fate for its next commit."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.fate = Fate.STORED
        self.is_struck = False
        """Whether there was a commit since the fate was set."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        self.strike(lambda: self._inner.commit(changes))

    def begin(self, changes: Sequence[Change | EntityChange]) -> Transaction:
        return _FatefulTransaction(self, self._inner.begin(changes))

    def strike(self, store: Callable[[], None]) -> None:
        self.is_struck = True
        if self.fate is Fate.REFUSED:
            raise StoreError("there is no room")
        if self.fate is Fate.DIES_BEFORE:
            raise PowerCut
        store()
        if self.fate is Fate.DIES_AFTER:
            raise PowerCut


@dataclass(frozen=True)
class _FatefulTransaction:
    store: FatefulStore
    inner: Transaction

    def commit(self) -> None:
        self.store.strike(self.inner.commit)

    def close(self) -> None:
        self.inner.close()


@dataclass(eq=False)
class Worker:
    """One stream, and what came over it."""

    stream: WorkStream
    items: list[Any] = field(default_factory=list)

    async def read(self) -> None:
        while batch := await self.stream.next_batch():
            self.items += (codec.decode(messages.WorkItem, item) for item in batch)


class CrashingSidecar:
    """One life after the other over what a store holds."""

    def __init__(
        self,
        reopen: Callable[[], Store],
        now: datetime,
        *,
        most_bytes: int,
        flushes_apart: bool = False,
        turns_ahead: bool = False,
    ) -> None:
        self._reopen = reopen
        self._turns_ahead = turns_ahead
        self.while_ahead: Callable[[], Sequence[Call]] = tuple
        self.while_held: Callable[[], Sequence[Call]] = self.end_holding
        self._flushes_apart = flushes_apart
        self.meanwhile: Callable[[], None] = _nothing
        self._most_bytes = most_bytes
        self._ids = (f"{number:032x}" for number in itertools.count(1))
        self._troubles: list[dict[str, Any]] = []
        self.clock = ManualClock(now)
        self.hold_clock = ManualClock()
        self._live()

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def submit(self, calls: Sequence[Call], fate: Fate) -> tuple[Fate, list[Any]]:
        """Make all calls in one commit; what became of it, and what each was told."""
        self.store.fate, self.store.is_struck = fate, False
        tasks = [self._loop.create_task(_outcome(call(self.host))) for call in calls]
        self._settle()
        if not self.store.is_struck and not all(task.done() for task in tasks):
            is_ahead = any(worker.items for worker in self.workers)
            others = self.while_ahead() if is_ahead else self.while_held()
            tasks += [self._loop.create_task(_outcome(call(self.host))) for call in others]
            self._settle()
        became = fate if self.store.is_struck else Fate.STORED
        self.store.fate = Fate.STORED
        if became.is_deadly:
            self.die()
            return became, []
        assert all(task.done() for task in tasks), "somebody waits for an answer that never comes"
        return became, [task.result() for task in tasks]

    def end_holding(self) -> tuple[()]:
        """So much time passes that what is held is stored by itself."""
        self.hold_clock.advance(timedelta(milliseconds=5))
        return ()

    def die(self) -> None:
        """All that is in memory is gone; then a sidecar is started on what is stored."""
        self._bury()
        self.clock = ManualClock(self.now)
        self._live()

    def wait(self, time: timedelta) -> None:
        self.clock.advance(time)
        self._settle()

    def reconnect(self, worker: Worker) -> Worker:
        """The worker's stream ends, and another one comes."""
        self._call(lambda: self.host.dispatcher.close(worker.stream))
        self._run_loop()
        self.workers.remove(worker)
        return self._connect()

    def close(self) -> None:
        self._bury()

    def _live(self) -> None:
        self.store = FatefulStore(self._reopen())
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note_trouble)
        committer = Committer(self.store, most_bytes=self._most_bytes)
        self._flushes = FlushesOnDemand()
        flushing = None
        if self._flushes_apart:
            flushing = Flushing(AlwaysSlow(), self._flushes)
        elif self._turns_ahead:
            flushing = Flushing(WorthHolding())
        self.host = Host(
            committer,
            self.clock,
            lambda: next(self._ids),
            flushing=flushing,
            hold_clock=self.hold_clock,
        )
        self.workers: list[Worker] = []
        self._readers: list[asyncio.Task[None]] = []
        self._call(self.host.start)
        self._settle()
        for _ in range(2):
            self._connect()

    def _connect(self) -> Worker:
        def connect() -> Worker:
            subscription = Subscription(HUB, keeps_sessions=self._turns_ahead)
            worker = Worker(self.host.dispatcher.open(subscription))
            # The loop knows its tasks but does not keep them.
            self._readers.append(self._loop.create_task(worker.read()))
            return worker

        worker: Worker = self._call(connect)
        self._run_loop()
        self.workers.append(worker)
        return worker

    def _call(self, what: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return what()

        return self._loop.run_until_complete(run())

    def _settle(self) -> None:
        self._run_loop()
        while self._flushes.is_any_waiting:
            self.meanwhile()
            self._run_loop()
            self._flushes.do()
            self._run_loop()

    def _run_loop(self) -> None:
        async def settle() -> None:
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)

        self._loop.run_until_complete(settle())
        assert not self._troubles, self._troubles

    def _note_trouble(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), PowerCut):
            self._troubles.append(context)

    def _bury(self) -> None:
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()
        self.store.close()


def _nothing() -> None:
    return None


async def _outcome(call: Awaitable[Any]) -> Any:
    """What a caller is told; a commit that fails is a thing to be told too."""
    try:
        return await call
    except CommitFailedError as error:
        return error
