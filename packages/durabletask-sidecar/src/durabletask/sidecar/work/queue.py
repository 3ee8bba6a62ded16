"""Queue the work that is ready, and say whose turn it is to take the next piece.

Work of one kind, hub, name and version stands in one lane, because the same workers
accept all of it. Within a lane first come, first served; between lanes the piece that
waits longest goes first; between workers round robin, unless the worker that had the
instance last has room.

Knows nothing about leases, bytes or time.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.notifications import Kind, LaneKey, Work, WorkKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .streams import WorkStream

# Instances whose last worker is remembered. Forgetting costs that worker's cached
# session, never correctness.
_HOMES_KEPT = 100_000
# Empty lanes that are kept, for the sake of whose turn it is. There are as many as names
# and versions, and those may be anything.
_LANES_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A piece of work in the queue."""

    order: int
    work: Work
    shunned: WorkStream | None = None
    """The worker that gave it back, and gets it again only when no other has room."""


@dataclass(slots=True)
class _Lane:
    takers: list[WorkStream]
    queue: OrderedDict[WorkKey, Waiting] = field(default_factory=OrderedDict)
    next_taker: int = 0

    def head(self) -> Waiting:
        return next(iter(self.queue.values()))

    def with_room(self, kind: Kind) -> Iterator[WorkStream]:
        """Those that can take one more, beginning behind the one that was served last."""
        count = len(self.takers)
        for step in range(count):
            stream = self.takers[(self.next_taker + step) % count]
            if stream.has_room(kind):
                yield stream

    def serve(self, stream: WorkStream) -> None:
        self.next_taker = self.takers.index(stream) + 1


class Backlog:
    """Ready work, and the streams that want it."""

    def __init__(self) -> None:
        self._streams: list[WorkStream] = []
        self._lanes: dict[LaneKey, _Lane] = {}
        self._busy: dict[LaneKey, _Lane] = {}
        self._queued: dict[WorkKey, LaneKey] = {}
        self._homes: OrderedDict[tuple[str, str], WorkStream] = OrderedDict()
        self._order = 0

    def join(self, stream: WorkStream) -> None:
        self._streams.append(stream)
        self._lanes = dict(self._busy)
        for (kind, hub, name, version), lane in self._lanes.items():
            if stream.appetite.accepts(Work(kind, hub, "", name, version)):
                lane.takers.append(stream)

    def leave(self, stream: WorkStream) -> None:
        self._streams.remove(stream)
        self._lanes = dict(self._busy)
        for lane in self._lanes.values():
            if stream in lane.takers:
                lane.takers.remove(stream)

    def add(self, work: Work, *, shunned: WorkStream | None = None) -> None:
        """Queue the work, unless it is queued already."""
        queued_in = self._queued.get(work.key)
        if queued_in == work.lane:
            return
        if queued_in is not None:
            # A new generation or a new instance of that id, with another name or version.
            self._take_out(queued_in, work.key)
        self._order += 1
        lane = self._lane(work)
        lane.queue[work.key] = Waiting(self._order, work, shunned)
        self._busy[work.lane] = lane
        self._queued[work.key] = work.lane

    def drop(self, key: WorkKey) -> None:
        """Take the work out, if it is queued."""
        lane = self._queued.get(key)
        if lane is not None:
            self._take_out(lane, key)

    def keys_of(self, hub: str) -> list[WorkKey]:
        """All work of the task hub that is queued."""
        return [key for key in self._queued if key[1] == hub]

    def assignments(self) -> Iterator[tuple[Work, WorkStream]]:
        """Take out one after the other what a stream has room for.

        The taker of each must have been given the work before the next is asked for.
        """
        heap = [(lane.head().order, key) for key, lane in self._busy.items() if lane.takers]
        heapq.heapify(heap)
        while heap:
            _, key = heapq.heappop(heap)
            lane = self._busy[key]
            waiting = lane.head()
            stream = self._taker(lane, waiting)
            if stream is None:
                continue
            self._take_out(key, waiting.work.key)
            yield waiting.work, stream
            if lane.queue:
                heapq.heappush(heap, (lane.head().order, key))

    def settle(self, work: Work, stream: WorkStream) -> None:
        """Remember the stream as the home of the instance: its worker has the session warm."""
        instance = (work.hub, work.instance_id)
        self._homes[instance] = stream
        self._homes.move_to_end(instance)
        if len(self._homes) > _HOMES_KEPT:
            self._homes.popitem(last=False)

    def unsettle(self, hub: str, instance_id: str) -> None:
        """Forget the home of an instance that has ended."""
        self._homes.pop((hub, instance_id), None)

    def _lane(self, work: Work) -> _Lane:
        lane = self._lanes.get(work.lane)
        if lane is None:
            self._forget_empty_lanes()
            takers = [stream for stream in self._streams if stream.appetite.accepts(work)]
            lane = self._lanes[work.lane] = _Lane(takers)
        return lane

    def _forget_empty_lanes(self) -> None:
        # Twice as many as are busy, so that most calls have nothing to do.
        if len(self._lanes) > max(_LANES_KEPT, 2 * len(self._busy)):
            self._lanes = dict(self._busy)

    def _take_out(self, lane_key: LaneKey, key: WorkKey) -> None:
        lane = self._busy[lane_key]
        del lane.queue[key]
        del self._queued[key]
        if not lane.queue:
            del self._busy[lane_key]

    def _taker(self, lane: _Lane, waiting: Waiting) -> WorkStream | None:
        kind = waiting.work.kind
        home = self._home(waiting.work)
        if home is not None and home is not waiting.shunned and home.has_room(kind):
            return home
        last_resort = None
        for stream in lane.with_room(kind):
            if stream is not waiting.shunned:
                lane.serve(stream)
                return stream
            last_resort = stream
        return last_resort

    def _home(self, work: Work) -> WorkStream | None:
        if work.kind is not Kind.TURN:
            return None
        home = self._homes.get((work.hub, work.instance_id))
        # Continue-as-new can change the version, and with it who accepts the instance.
        if home is None or home.is_closed or not home.appetite.accepts(work):
            return None
        return home

    def counts(self) -> Counter[Kind]:
        """How much of each kind is queued."""
        counts: Counter[Kind] = Counter()
        for (kind, *_), lane in self._busy.items():
            counts[kind] += len(lane.queue)
        return counts

    def is_empty(self) -> bool:
        return not self._queued
