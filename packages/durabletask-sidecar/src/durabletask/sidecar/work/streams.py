"""The stream of work items to one connected worker, and what the worker subscribed to.

A stream never holds more work of a kind than the worker said it can run at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from durabletask.protocol.dialects import DAPR
from durabletask.sidecar.commit.notifications import Kind, Work

from .sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from durabletask.protocol.dialects import Dialect

    Receive = Callable[[Sequence[bytes]], Awaitable[None] | None]
    """Takes encoded messages; no more come before what it returns has been awaited."""

# gRPC's default, which holds for every worker that does not announce another limit.
DEFAULT_MAX_MESSAGE = 4 * 1024 * 1024
# For workers that announce no number. Enough to keep one busy, and few enough to leave a
# part of a backlog to a second worker.
DEFAULT_SLOTS = 100

Versions = frozenset[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """The names of one kind that a worker takes, and the versions of each (empty: any)."""

    versions_by_name: dict[str, Versions]

    def accepts(self, work: Work) -> bool:
        versions = self.versions_by_name.get(work.name)
        if versions is None:
            return False
        return not versions or (work.version or "") in versions


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a worker announced when it connected."""

    hub: str
    slots: dict[Kind, int] = field(default_factory=dict)
    filters: dict[Kind, Filter] | None = None
    """None when the worker accepts everything."""
    max_message: int = DEFAULT_MAX_MESSAGE
    """How many bytes a work item may have."""
    fetches_history: bool = False
    """Whether the worker can fetch a long history with a call of its own."""
    keeps_sessions: bool = False
    """Whether turns may be sent without the history that the worker has cached."""
    older_batches: bool = False
    """Whether the worker knows the older form of entity batches only."""
    dialect: Dialect | None = None
    """None until the worker has shown it; it is sent only what both vendors read alike."""

    @property
    def is_dapr(self) -> bool:
        return self.dialect is DAPR

    def slots_for(self, kind: Kind) -> int:
        """How many the worker runs at once; the default without a positive number."""
        announced = self.slots.get(kind, 0)
        return announced if announced > 0 else DEFAULT_SLOTS

    def accepts(self, work: Work) -> bool:
        if work.hub != self.hub or (self.is_dapr and work.kind is Kind.ENTITY):
            return False
        return self.filters is None or self.filters[work.kind].accepts(work)


class _Writing(NamedTuple):
    """Items that are being written until `taken` has been awaited."""

    taken: Awaitable[None]
    items: int
    """How many."""


class WorkStream:
    """One worker's stream of work items."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.is_closed = False
        self.sessions = Sessions()
        self.written = 0
        """How many items gRPC has taken over: the worker, or its connection's buffer, has them."""
        self.writing = 0
        """Bytes of the item that is being written now; 0 while there is none."""
        self._free = {kind: subscription.slots_for(kind) for kind in Kind}
        self._outbox: list[bytes] = []
        self._reader: asyncio.Future[_Writing | None] | None = None
        """Whoever waits for the next items; there is at most one."""
        self._receive: Receive | None = None
        """What is called with the next items instead, while it waits for none."""

    def has_free_slot(self, kind: Kind) -> bool:
        return self._free[kind] > 0

    def take_slot(self, kind: Kind) -> None:
        self._free[kind] -= 1

    def free_slot(self, kind: Kind) -> None:
        self._free[kind] += 1

    def send(self, *items: bytes) -> None:
        self._outbox += items
        if self._receive is None:
            self._wake_reader()
        else:
            self._hand_over(self._receive)

    def close(self) -> None:
        """End the stream; items that were not written yet are dropped."""
        self.is_closed = True
        self._receive = None
        self._outbox.clear()
        self._wake_reader()

    def _wake_reader(self, writing: _Writing | None = None) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(writing)

    async def items(self) -> AsyncIterator[bytes]:
        """The items to write, as they come; asking for the next says that the last is written."""
        while batch := await self.next_batch():
            for item in batch:
                self.writing = len(item)
                yield item
                self._note_written(1)

    async def deliver(self, receive: Receive) -> None:
        """Give `receive` the items, all that there are at a time, until the stream is closed.

        Whoever sends items calls it, at once: to wake a task for each would take longer than
        the rest. Items gather while what it returned is awaited. Its errors are raised here.
        """
        while not self.is_closed:
            self._reader = asyncio.get_running_loop().create_future()
            self._receive = receive
            try:
                self._hand_over(receive)
                writing = await self._reader
            finally:
                self._receive = None
            if writing is not None:
                await writing.taken
                self._note_written(writing.items)

    def _hand_over(self, receive: Receive) -> None:
        """Call `receive` with the items; if it has to be waited for, `deliver` does that."""
        if not self._outbox or self._reader is None or self._reader.done():
            return  # Nothing to hand over, or the delivery was cancelled.
        batch, self._outbox = self._outbox, []
        self.writing = sum(map(len, batch))
        try:
            taken = receive(batch)
        except Exception as error:  # noqa: BLE001 - it is of this stream, not of who has sent
            self._receive = None
            if not self._reader.done():
                self._reader.set_exception(error)
            return
        if taken is None:
            self._note_written(len(batch))
        else:
            self._receive = None
            self._wake_reader(_Writing(taken, len(batch)))

    def _note_written(self, count: int) -> None:
        self.writing = 0
        self.written += count

    async def next_batch(self) -> list[bytes]:
        """Wait for work items and take them all; empty once the stream is closed."""
        while not self._outbox and not self.is_closed:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        batch, self._outbox = self._outbox, []
        return batch
