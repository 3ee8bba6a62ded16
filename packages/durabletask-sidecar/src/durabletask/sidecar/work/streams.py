"""What one connected worker takes, and what waits to be written to it.

A stream never takes more work of a kind than the worker said it can run at once.

Knows nothing about gRPC: the service writes what `next_batch` returns.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.protocol.dialects import DAPR
from durabletask.sidecar.commit.notifications import Kind, Work

from .sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durabletask.protocol.dialects import Dialect

# gRPC's own default, which every worker has that did not say otherwise.
DEFAULT_MAX_MESSAGE = 4 * 1024 * 1024
# For workers that state no limit. Enough to keep one busy, and few enough that the
# rest of a backlog is still there when a second worker comes to help.
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
class Appetite:
    """What a worker announced when it asked for work."""

    hub: str
    slots: dict[Kind, int] = field(default_factory=dict)
    filters: dict[Kind, Filter] | None = None
    """None when the worker takes everything."""
    max_message: int = DEFAULT_MAX_MESSAGE
    """The most bytes of one work item."""
    fetches_history: bool = False
    """Whether the worker fetches a long history by itself when it is told to."""
    keeps_sessions: bool = False
    """Whether turns may come without the history that the worker knows already."""
    older_batches: bool = False
    """Whether the worker takes operations of entities in the older form only."""
    dialect: Dialect | None = None
    """None until the worker has shown it; what both vendors read alike is all it gets."""

    @property
    def is_daprs(self) -> bool:
        return self.dialect is DAPR

    def slots_for(self, kind: Kind) -> int:
        """How many the worker runs at once; the default where it stated nothing sensible."""
        stated = self.slots.get(kind, 0)
        return stated if stated > 0 else DEFAULT_SLOTS

    def accepts(self, work: Work) -> bool:
        if work.hub != self.hub or (self.is_daprs and work.kind is Kind.ENTITY):
            return False
        return self.filters is None or self.filters[work.kind].accepts(work)


class WorkStream:
    """One worker's stream of work items."""

    def __init__(self, appetite: Appetite) -> None:
        self.appetite = appetite
        self.is_closed = False
        self.sessions = Sessions()
        self.written = 0
        """How many items its worker has taken off the link, or off what buffers there."""
        self.writing = 0
        """Bytes of the item that its worker takes off the link now; 0 while there is none."""
        self._free = {kind: appetite.slots_for(kind) for kind in Kind}
        self._outbox: list[bytes] = []
        self._wake = asyncio.Event()

    def has_room(self, kind: Kind) -> bool:
        return self._free[kind] > 0

    def occupy(self, kind: Kind) -> None:
        self._free[kind] -= 1

    def vacate(self, kind: Kind) -> None:
        self._free[kind] += 1

    def send(self, item: bytes) -> None:
        self._outbox.append(item)
        self._wake.set()

    def close(self) -> None:
        """Let the reader finish; what it has not read is not sent any more."""
        self.is_closed = True
        self._outbox.clear()
        self._wake.set()

    async def items(self) -> AsyncIterator[bytes]:
        """What there is to write, as it comes; whoever asks for the next has written the last."""
        while batch := await self.next_batch():
            for item in batch:
                self.writing = len(item)
                yield item
                self.writing = 0
                self.written += 1

    async def next_batch(self) -> list[bytes]:
        """Wait for work items and take them all; empty once the stream is closed."""
        while not self._outbox and not self.is_closed:
            self._wake.clear()
            await self._wake.wait()
        batch, self._outbox = self._outbox, []
        return batch
