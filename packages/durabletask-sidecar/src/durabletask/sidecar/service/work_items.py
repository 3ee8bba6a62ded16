"""The methods that workers call: take work, complete it, give it back.

A completion that comes too late, twice, or for work that is gone is answered with OK
and changes nothing: its worker could not do better, and must not repeat it.

Knows nothing about who gets which work.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.protocol import codec, dialect_detection, dialects, messages
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.transition import InvalidArgument
from durabletask.sidecar.work.streams import DEFAULT_MAX_MESSAGE, Appetite, Filter, Versions

from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.network.rpc import Caller
    from durabletask.sidecar.work.leases import Lease
    from durabletask.sidecar.work.streams import WorkStream

    from .spoken import Dialects

_log = logging.getLogger("durabletask.sidecar")

# The official worker takes 120 seconds of silence for a dead link.
_PING_INTERVAL = timedelta(seconds=25)
# What the slowest link brings over in that time, some 1.3 Mbit/s: a large item may take several.
_LEAST_PROGRESS = 4 * 1024 * 1024
_MAX_MESSAGE_KEY = "x-durabletask-max-message"
# Our own worker says by it that it keeps sessions; the protocol has no word for it.
_SESSIONS_KEY = "x-durabletask-extended-sessions"
# For workers that know the older form of entity requests only, which cannot be told otherwise.
_BATCHES_KEY = "x-durabletask-entity-requests"
# Of a number of bytes that anybody can mean; Python refuses to read very long ones.
_MOST_DIGITS = 18


class WorkItems:
    """What a worker may ask of the sidecar."""

    def __init__(self, host: Host, spoken: Dialects) -> None:
        self._host = host
        self._spoken = spoken

    def dialect_of_worker(self, raw: bytes, _caller: Caller) -> Dialect | None:
        """The dialect of an encoded request for work."""
        return self._spoken.of_worker(raw)

    def dialect_of_answer(self, raw: bytes, caller: Caller) -> Dialect | None:
        """The dialect of an encoded answer to a turn: that of the stream it was sent on.

        It is looked for in the answer where the worker has not shown it, or is gone.
        """
        answer = dialect_detection.completion_ids(raw)
        lease = self._host.completions.turn_of(
            caller.hub, answer.completion_token, answer.instance_id
        )
        known = None if lease is None else lease.stream.appetite.dialect
        if known is not None:
            return known
        rewinds = lease is not None and lease.turn is not None and lease.turn.rewinds
        shown = dialect_detection.of_completion(raw, rewinds=rewinds)
        if lease is not None and shown is not None:
            self._recognize(lease, shown)
        return shown

    def dialect_of_daprs_answer(self, raw: bytes, caller: Caller) -> Dialect:
        """Dapr's; only its workers have this method."""
        answer = dialect_detection.completion_ids(raw)
        lease = self._host.completions.turn_of(
            caller.hub, answer.completion_token, answer.instance_id
        )
        if lease is not None:
            self._recognize(lease, dialects.DAPR)
        return dialects.DAPR

    def _recognize(self, lease: Lease, dialect: Dialect) -> None:
        appetite = lease.stream.appetite
        if appetite.dialect is None:
            self._host.dispatcher.restate(lease.stream, replace(appetite, dialect=dialect))
            self._spoken.note(appetite.hub, dialect)

    @asynccontextmanager
    async def get_work_items(
        self, request: messages.GetWorkItemsRequest, caller: Caller
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        stream = self._host.dispatcher.open(_appetite(request, caller))
        self._spoken.note(caller.hub, caller.dialect)
        pings = Pings(stream, self._host.link_clock, _end_of_call())
        try:
            yield stream.items()
        finally:
            pings.stop()
            self._host.dispatcher.close(stream)

    async def complete_turn(
        self, request: messages.OrchestratorResponse, caller: Caller
    ) -> messages.CompleteTaskResponse:
        await self._host.completions.complete_turn(caller.hub, request)
        return messages.CompleteTaskResponse()

    async def complete_activity(
        self, request: messages.ActivityResponse, caller: Caller
    ) -> messages.CompleteTaskResponse:
        await self._host.completions.complete_activity(caller.hub, request)
        return messages.CompleteTaskResponse()

    async def complete_batch(
        self, request: messages.EntityBatchResult, caller: Caller
    ) -> messages.CompleteTaskResponse:
        reply = await self._host.completions.complete_batch(caller.hub, request)
        if isinstance(reply, InvalidArgument):
            raise RefusedError(reply)
        return messages.CompleteTaskResponse()

    async def abandon_turn(
        self, request: messages.AbandonOrchestrationTaskRequest, caller: Caller
    ) -> messages.AbandonOrchestrationTaskResponse:
        self._host.completions.abandon(caller.hub, Kind.TURN, request.completion_token)
        return messages.AbandonOrchestrationTaskResponse()

    async def abandon_activity(
        self, request: messages.AbandonActivityTaskRequest, caller: Caller
    ) -> messages.AbandonActivityTaskResponse:
        self._host.completions.abandon(caller.hub, Kind.ACTIVITY, request.completion_token)
        return messages.AbandonActivityTaskResponse()

    async def abandon_batch(
        self, request: messages.AbandonEntityTaskRequest, caller: Caller
    ) -> messages.AbandonEntityTaskResponse:
        self._host.completions.abandon(caller.hub, Kind.ENTITY, request.completion_token)
        return messages.AbandonEntityTaskResponse()


class Pings:
    """Tell a worker regularly that its stream is alive, and give up one that reads nothing.

    A worker that hangs may have a link that is well: it answers for the worker, and would keep
    all that was sent to it for ever.
    """

    def __init__(self, stream: WorkStream, clock: Clock, give_up: Callable[[], object]) -> None:
        ping = messages.WorkItem(health_ping=messages.HealthPing())
        self._ping = codec.encode(ping, dialects.TASKHUB)
        self._stream = stream
        self._clock = clock
        self._give_up = give_up
        self._stuck_at: int | None = None
        self._stuck = 0
        """Pings since then."""
        self._set()

    def _set(self) -> None:
        self._alarm = self._clock.call_at(self._clock.now() + _PING_INTERVAL, self._send)

    def _send(self) -> None:
        stream = self._stream
        at = stream.written if stream.writing else None
        self._stuck = self._stuck + 1 if at is not None and at == self._stuck_at else 0
        self._stuck_at = at
        if self._stuck > stream.writing // _LEAST_PROGRESS:
            _log.warning(
                "a worker has read nothing for %d seconds; its work goes to others",
                self._stuck * _PING_INTERVAL.total_seconds(),
                extra={"hub": stream.appetite.hub},
            )
            self._give_up()
            return
        # Dapr's workers have no such message, and some of them stumble over it.
        if stream.appetite.dialect is dialects.TASKHUB:
            stream.send(self._ping)
        self._set()

    def stop(self) -> None:
        self._alarm.cancel()


def _end_of_call() -> Callable[[], object]:
    """What ends the call that runs now, from outside: also when it waits for its peer to read."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancel


def _appetite(request: messages.GetWorkItemsRequest, caller: Caller) -> Appetite:
    slots = {
        Kind.TURN: request.max_concurrent_orchestration_work_items,
        Kind.ACTIVITY: request.max_concurrent_activity_work_items,
        Kind.ENTITY: request.max_concurrent_entity_work_items,
    }
    capabilities = messages.WorkerCapability
    keeps_history = capabilities.STATEFUL_HISTORY in request.capabilities
    return Appetite(
        caller.hub,
        slots,
        _filters(request),
        _max_message(caller),
        fetches_history=capabilities.HISTORY_STREAMING in request.capabilities,
        keeps_sessions=keeps_history or caller.metadata.get(_SESSIONS_KEY) == "1",
        older_batches=caller.metadata.get(_BATCHES_KEY) == "v1",
        dialect=caller.dialect,
    )


def _filters(request: messages.GetWorkItemsRequest) -> dict[Kind, Filter] | None:
    """Absent filters let everything through; an empty list lets nothing of its kind through."""
    filters = request.work_item_filters
    if filters is None:
        return None
    return {
        Kind.TURN: _filter(filters.orchestrations),
        Kind.ACTIVITY: _filter(filters.activities),
        Kind.ENTITY: Filter({each.name.lower(): frozenset() for each in filters.entities}),
    }


def _filter(
    entries: Sequence[messages.OrchestrationFilter] | Sequence[messages.ActivityFilter],
) -> Filter:
    versions: dict[str, Versions] = {}
    for entry in entries:
        wanted = frozenset(entry.versions)
        known = versions.get(entry.name, wanted)
        # No versions means any, so an entry without them makes others of that name moot.
        versions[entry.name] = known | wanted if known and wanted else frozenset()
    return Filter(versions)


def _max_message(caller: Caller) -> int:
    announced = str(caller.metadata.get(_MAX_MESSAGE_KEY, ""))
    is_sensible = announced.isdecimal() and len(announced) <= _MOST_DIGITS
    return (int(announced) if is_sensible else 0) or DEFAULT_MAX_MESSAGE
