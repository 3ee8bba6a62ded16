"""Queue the work that is ready, and choose the worker for each piece.

Work of one kind, hub, name and version waits in one lane, because the same workers accept
all of it. Within a lane it is first come, first served; among lanes the work that waits
longest goes first; among workers it is round robin, except that an instance goes to the
worker that had its last turn if that one has a free slot.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.notifications import Kind, LaneKey, Work, WorkKey
from durabletask.sidecar.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .streams import WorkStream

# Instances whose last worker is remembered. Forgetting one costs that worker's cached
# session, never correctness.
_MAX_AFFINITIES = 100_000
# Empty lanes that are kept, because they know which worker was served last. There are as many
# as names and versions, and those may be anything.
_MAX_EMPTY_LANES = 1_000


@dataclass(slots=True, eq=False)
class Waiting:
    """One piece of work in the queue."""

    order: int
    work: Work
    lane: _Lane
    avoided: WorkStream | None = None
    """The worker that abandoned it; it gets it again only when no other has a free slot."""


@dataclass(slots=True, eq=False)
class _Lane:
    key: LaneKey
    streams: list[WorkStream]
    waiting: OrderedDict[WorkKey, Waiting] = field(default_factory=OrderedDict)
    next_stream: int = 0

    def head(self) -> Waiting:
        return next(iter(self.waiting.values()))

    def with_free_slot(self, kind: Kind) -> Iterator[WorkStream]:
        """The streams that can take one more, beginning behind the one served last."""
        count = len(self.streams)
        for step in range(count):
            stream = self.streams[(self.next_stream + step) % count]
            if stream.has_free_slot(kind):
                yield stream

    def served(self, stream: WorkStream) -> None:
        self.next_stream = self.streams.index(stream) + 1


class WorkQueue:
    """Ready work, and the streams that it can go to."""

    def __init__(self) -> None:
        self._streams: list[WorkStream] = []
        self._lanes: dict[LaneKey, _Lane] = {}
        """All lanes: those with work, and some of the empty ones."""
        self._busy: dict[LaneKey, _Lane] = {}
        """The lanes with work."""
        self._queued: dict[WorkKey, Waiting] = {}
        self._affinity: Lru[tuple[str, str], WorkStream] = Lru(_MAX_AFFINITIES)
        self._order = 0

    def join(self, stream: WorkStream) -> None:
        self._streams.append(stream)
        self._lanes = dict(self._busy)
        for (kind, hub, name, version), lane in self._lanes.items():
            if stream.subscription.accepts(Work(kind, hub, "", name, version)):
                lane.streams.append(stream)

    def leave(self, stream: WorkStream) -> None:
        self._streams.remove(stream)
        self._lanes = dict(self._busy)
        for lane in self._lanes.values():
            if stream in lane.streams:
                lane.streams.remove(stream)

    def add(self, work: Work, *, avoided: WorkStream | None = None) -> None:
        """Queue the work, unless it is queued already."""
        key = work.key
        queued = self._queued.get(key)
        if queued is not None:
            if queued.lane.key == work.lane:
                return
            # A new execution or a new instance of that id, with another name or version.
            self._remove(queued)
        self._order += 1
        lane = self._lane(work)
        waiting = self._queued[key] = Waiting(self._order, work, lane, avoided)
        lane.waiting[key] = waiting
        self._busy[lane.key] = lane

    def has(self, key: WorkKey) -> bool:
        """Whether the work is queued."""
        return key in self._queued

    def drop(self, key: WorkKey) -> None:
        """Remove the work, if it is queued."""
        waiting = self._queued.get(key)
        if waiting is not None:
            self._remove(waiting)

    def keys_of(self, hub: str) -> list[WorkKey]:
        """All work of the task hub that is queued."""
        return [key for key in self._queued if key[1] == hub]

    def assignments(self) -> Iterator[tuple[Work, WorkStream]]:
        """Remove, one after the other, the work that a stream has a free slot for.

        Each must have been leased to its stream before the next is asked for.
        """
        heap = [(lane.head().order, lane) for lane in self._busy.values() if lane.streams]
        heapq.heapify(heap)
        while heap:
            _, lane = heapq.heappop(heap)
            waiting = lane.head()
            stream = self._stream_for(lane, waiting)
            if stream is None:
                continue
            self._remove(waiting)
            yield waiting.work, stream
            if lane.waiting:
                heapq.heappush(heap, (lane.head().order, lane))

    def set_affinity(self, work: Work, stream: WorkStream) -> None:
        """Prefer the stream for the next turns of the instance: its worker has the session."""
        self._affinity.put((work.hub, work.instance_id), stream)

    def forget_affinity(self, hub: str, instance_id: str) -> None:
        self._affinity.pop((hub, instance_id))

    def _lane(self, work: Work) -> _Lane:
        lane = self._lanes.get(work.lane)
        if lane is None:
            self._drop_empty_lanes()
            streams = [stream for stream in self._streams if stream.subscription.accepts(work)]
            lane = self._lanes[work.lane] = _Lane(work.lane, streams)
        return lane

    def _drop_empty_lanes(self) -> None:
        # Allowing twice as many as are busy, so that most calls have nothing to do.
        if len(self._lanes) > max(_MAX_EMPTY_LANES, 2 * len(self._busy)):
            self._lanes = dict(self._busy)

    def _remove(self, waiting: Waiting) -> None:
        key, lane = waiting.work.key, waiting.lane
        del self._queued[key]
        del lane.waiting[key]
        if not lane.waiting:
            del self._busy[lane.key]

    def _stream_for(self, lane: _Lane, waiting: Waiting) -> WorkStream | None:
        kind = waiting.work.kind
        preferred = self.preferred(waiting.work)
        if (
            preferred is not None
            and preferred is not waiting.avoided
            and preferred.has_free_slot(kind)
        ):
            return preferred
        last_resort = None
        for stream in lane.with_free_slot(kind):
            if stream is not waiting.avoided:
                lane.served(stream)
                return stream
            last_resort = stream
        return last_resort

    def preferred(self, work: Work) -> WorkStream | None:
        """The stream that had the last turn of the instance, if it can take another."""
        if work.kind is not Kind.TURN:
            return None
        stream = self._affinity.peek((work.hub, work.instance_id))
        # Continue-as-new can change the version, and with it who accepts the instance.
        if stream is None or stream.is_closed or not stream.subscription.accepts(work):
            return None
        return stream

    def counts(self) -> Counter[Kind]:
        """How much of each kind is queued."""
        counts: Counter[Kind] = Counter()
        for (kind, *_), lane in self._busy.items():
            counts[kind] += len(lane.waiting)
        return counts

    def is_empty(self) -> bool:
        return not self._queued
