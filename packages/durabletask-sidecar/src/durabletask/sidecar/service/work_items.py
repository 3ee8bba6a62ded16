"""The methods that workers call: receive work items, complete them, abandon them.

A completion that comes too late, twice, or for work that is gone is answered with OK
and changes nothing: its worker must not repeat it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.protocol import codec, dialect_detection, dialects, messages
from durabletask.protocol.metadata_keys import EXTENDED_SESSIONS_KEY, MAX_MESSAGE_KEY
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.transition import InvalidArgument
from durabletask.sidecar.work.streams import DEFAULT_MAX_MESSAGE, Filter, Subscription, Versions

from .calls import Submitted
from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence

    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.work.leases import Lease
    from durabletask.sidecar.work.streams import WorkStream

    from .calls import Caller, Deliver
    from .hub_dialects import HubDialects

_log = logging.getLogger("durabletask.sidecar")

# The official worker takes 120 seconds of silence for a dead connection.
_PING_INTERVAL = timedelta(seconds=25)
# What the slowest connection transfers in that time, at some 1.3 Mbit/s; a large item may
# take several intervals.
_LEAST_PROGRESS = 4 * 1024 * 1024
# By it a worker announces that it knows the older form of entity requests only; the protocol
# has no field for it.
_BATCHES_KEY = "x-durabletask-entity-requests"
# Digits of the largest size that makes sense; Python refuses to parse very long numbers.
_MAX_DIGITS = 18


class WorkItems:
    """The methods that workers call."""

    def __init__(self, host: Host, hub_dialects: HubDialects) -> None:
        self._host = host
        self._hub_dialects = hub_dialects

    def recognize_worker(self, raw: bytes, caller: Caller) -> Caller:
        """Find the dialect of an encoded request for work items."""
        return replace(caller, dialect=self._hub_dialects.of_worker(raw))

    def recognize_turn_completion(self, raw: bytes, caller: Caller) -> Caller:
        """Find the lease that an encoded completion of a turn is for, and its stream's dialect.

        While the worker has not shown its dialect, or when its lease is over, the completion
        itself may show it.
        """
        lease = self._lease_of(raw, caller)
        dialect = None if lease is None else lease.stream.subscription.dialect
        if dialect is None:
            rewinds = lease is not None and lease.turn is not None and lease.turn.rewinds
            dialect = dialect_detection.of_completion(raw, rewinds=rewinds)
            self._record(lease, dialect)
        return replace(caller, dialect=dialect, lease=lease)

    def recognize_dapr_turn_completion(self, raw: bytes, caller: Caller) -> Caller:
        """The same for a method that only Dapr's workers call."""
        lease = self._lease_of(raw, caller)
        self._record(lease, dialects.DAPR)
        return replace(caller, dialect=dialects.DAPR, lease=lease)

    def _lease_of(self, raw: bytes, caller: Caller) -> Lease | None:
        named = dialect_detection.completion_ids(raw)
        return self._host.completions.find_turn(
            caller.hub, named.completion_token, named.instance_id
        )

    def _record(self, lease: Lease | None, dialect: Dialect | None) -> None:
        """Serve the lease's worker in this dialect from now on, unless its dialect is known."""
        if lease is None or dialect is None:
            return
        subscription = lease.stream.subscription
        if subscription.dialect is None:
            self._host.dispatcher.resubscribe(lease.stream, replace(subscription, dialect=dialect))
            self._hub_dialects.record(subscription.hub, dialect)

    @asynccontextmanager
    async def get_work_items(
        self, request: messages.GetWorkItemsRequest, caller: Caller
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        with self._open(request, caller) as stream:
            yield stream.items()

    @asynccontextmanager
    async def get_in_batches(
        self, request: messages.GetWorkItemsRequest, caller: Caller
    ) -> AsyncGenerator[Deliver, None]:
        """The same with as many items at a time as there are."""
        with self._open(request, caller) as stream:
            yield stream.deliver

    @contextmanager
    def _open(self, request: messages.GetWorkItemsRequest, caller: Caller) -> Iterator[WorkStream]:
        """A stream that is pinged, until the current call ends."""
        stream = self._host.dispatcher.open(_subscription(request, caller))
        self._hub_dialects.record(caller.hub, caller.dialect)
        pings = Pings(stream, self._host.link_clock, _end_of_call())
        try:
            yield stream
        finally:
            pings.stop()
            self._host.dispatcher.close(stream)

    def complete_turn(self, request: messages.OrchestratorResponse, caller: Caller) -> Submitted:
        storing = self._host.completions.submit_turn(caller.hub, request, caller.lease)
        return Submitted(messages.CompleteTaskResponse(), storing, is_completion=True)

    def complete_activity(self, request: messages.ActivityResponse, caller: Caller) -> Submitted:
        storing = self._host.completions.submit_activity(caller.hub, request)
        return Submitted(messages.CompleteTaskResponse(), storing, is_completion=True)

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
    """Pings a worker regularly, and ends its stream when it reads nothing.

    The connection of a worker that hangs may be alive and buffer all that is sent to it: only
    what the worker reads shows that it is well.
    """

    def __init__(self, stream: WorkStream, clock: Clock, end: Callable[[], object]) -> None:
        ping = messages.WorkItem(health_ping=messages.HealthPing())
        self._ping = codec.encode(ping, dialects.TASKHUB)
        self._stream = stream
        self._clock = clock
        self._end = end
        self._stuck_at: int | None = None
        self._stuck = 0
        """Pings since `written` last changed while an item was being written."""
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
                "Worker has read nothing for %d seconds, so its work goes to other workers",
                self._stuck * _PING_INTERVAL.total_seconds(),
                extra={"hub": stream.subscription.hub},
            )
            self._end()
            return
        # Dapr's dialect has no such message, and some of its workers fail on it.
        if stream.subscription.dialect is dialects.TASKHUB:
            stream.send(self._ping)
        self._set()

    def stop(self) -> None:
        self._alarm.cancel()


def _end_of_call() -> Callable[[], object]:
    """What cancels the current call, even while it waits for its peer to read."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancel


def _subscription(request: messages.GetWorkItemsRequest, caller: Caller) -> Subscription:
    slots = {
        Kind.TURN: request.max_concurrent_orchestration_work_items,
        Kind.ACTIVITY: request.max_concurrent_activity_work_items,
        Kind.ENTITY: request.max_concurrent_entity_work_items,
    }
    capabilities = messages.WorkerCapability
    keeps_history = capabilities.STATEFUL_HISTORY in request.capabilities
    return Subscription(
        caller.hub,
        slots,
        _filters(request),
        _max_message(caller),
        fetches_history=capabilities.HISTORY_STREAMING in request.capabilities,
        keeps_sessions=keeps_history or caller.metadata.get(EXTENDED_SESSIONS_KEY) == "1",
        older_batches=caller.metadata.get(_BATCHES_KEY) == "v1",
        dialect=caller.dialect,
    )


def _filters(request: messages.GetWorkItemsRequest) -> dict[Kind, Filter] | None:
    """None accepts everything; an empty list accepts nothing of its kind."""
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
        # An entry without versions accepts all of them, whatever other entries of the name say.
        versions[entry.name] = known | wanted if known and wanted else frozenset()
    return Filter(versions)


def _max_message(caller: Caller) -> int:
    announced = str(caller.metadata.get(MAX_MESSAGE_KEY, ""))
    is_valid = announced.isdecimal() and len(announced) <= _MAX_DIGITS
    return (int(announced) if is_valid else 0) or DEFAULT_MAX_MESSAGE
