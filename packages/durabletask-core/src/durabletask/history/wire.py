"""Convert the protocol's history events to those of `durabletask.history`.

Fields have the same names on both sides, so one function converts them all; the table below
lists those whose values differ. Fields that only Dapr has are left out: programs rely on the
official keys of `to_dict`.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from durabletask import failures
from durabletask.history import events
from durabletask.history.events import (
    HistoryEvent,
    OrchestrationInstance,
    ParentInstanceInfo,
    TraceContext,
)
from durabletask.protocol import oneofs

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol import messages

_EPOCH = datetime.fromtimestamp(0, UTC)

KINDS: dict[str, type[HistoryEvent]] = {
    "execution_started": events.ExecutionStartedEvent,
    "execution_completed": events.ExecutionCompletedEvent,
    "execution_terminated": events.ExecutionTerminatedEvent,
    "execution_suspended": events.ExecutionSuspendedEvent,
    "execution_resumed": events.ExecutionResumedEvent,
    "execution_rewound": events.ExecutionRewoundEvent,
    "execution_stalled": events.ExecutionStalledEvent,
    "orchestrator_started": events.OrchestratorStartedEvent,
    "orchestrator_completed": events.OrchestratorCompletedEvent,
    "continue_as_new": events.ContinueAsNewEvent,
    "task_scheduled": events.TaskScheduledEvent,
    "task_completed": events.TaskCompletedEvent,
    "task_failed": events.TaskFailedEvent,
    "sub_orchestration_instance_created": events.SubOrchestrationInstanceCreatedEvent,
    "sub_orchestration_instance_completed": events.SubOrchestrationInstanceCompletedEvent,
    "sub_orchestration_instance_failed": events.SubOrchestrationInstanceFailedEvent,
    "detached_orchestration_instance_created": events.DetachedOrchestrationInstanceCreatedEvent,
    "timer_created": events.TimerCreatedEvent,
    "timer_fired": events.TimerFiredEvent,
    "event_sent": events.EventSentEvent,
    "event_raised": events.EventRaisedEvent,
    "generic_event": events.GenericEvent,
    "history_state": events.HistoryStateEvent,
    "entity_operation_signaled": events.EntityOperationSignaledEvent,
    "entity_operation_called": events.EntityOperationCalledEvent,
    "entity_operation_completed": events.EntityOperationCompletedEvent,
    "entity_operation_failed": events.EntityOperationFailedEvent,
    "entity_lock_requested": events.EntityLockRequestedEvent,
    "entity_lock_granted": events.EntityLockGrantedEvent,
    "entity_unlock_sent": events.EntityUnlockSentEvent,
}
"""The class of each event, by its field in the protocol's `HistoryEvent`."""


def from_message(message: messages.HistoryEvent) -> HistoryEvent:
    """The event in a message; one of an unknown kind is a GenericEvent without data."""
    kind = oneofs.which(message)
    id, at = message.event_id, _time(message.timestamp)
    if kind not in KINDS:
        return events.GenericEvent(id, at)
    content = getattr(message, kind)
    fields = (_read(name, getattr(content, name)) for name in _names(kind))
    return KINDS[kind](id, at, *fields)


@cache
def _names(kind: str) -> tuple[str, ...]:
    """The fields of a kind of event, without those that every event has."""
    names = [field.name for field in dataclasses.fields(KINDS[kind])]
    return tuple(names[len(dataclasses.fields(HistoryEvent)) :])


def _read(name: str, value: Any) -> Any:
    reader = _READERS.get(name)
    if reader is not None:
        return reader(value)
    # Enum values become plain numbers, as in the official SDK: newer engines may have others.
    return int(value) if isinstance(value, IntEnum) else value


def _time(at: datetime | None) -> datetime:
    # The official classes promise a time, so a missing one becomes the epoch.
    return (at or _EPOCH).astimezone(UTC)


def _optional_time(at: datetime | None) -> datetime | None:
    return None if at is None else _time(at)


def _failure(message: messages.TaskFailureDetails | None) -> failures.FailureDetails | None:
    return None if message is None else failures.from_message(message)


def _instance(message: messages.OrchestrationInstance | None) -> OrchestrationInstance | None:
    if message is None:
        return None
    return OrchestrationInstance(message.instance_id, message.execution_id)


def _parent(message: messages.ParentInstanceInfo | None) -> ParentInstanceInfo | None:
    if message is None:
        return None
    return ParentInstanceInfo(
        message.task_scheduled_id,
        message.name,
        message.version,
        _instance(message.orchestration_instance),
    )


def _trace_context(message: messages.TraceContext | None) -> TraceContext | None:
    if message is None:
        return None
    return TraceContext(message.trace_parent, message.span_id, message.trace_state)


def _state(message: messages.OrchestrationState | None) -> dict[str, Any]:
    return {} if message is None else message.to_dict()


def _tags(tags: dict[str, str]) -> dict[str, str] | None:
    return dict(tags) or None


_READERS: dict[str, Callable[[Any], Any]] = {
    "fire_at": _time,
    "scheduled_start_timestamp": _optional_time,
    "scheduled_time": _optional_time,
    "failure_details": _failure,
    "orchestration_instance": _instance,
    "parent_instance": _parent,
    "parent_trace_context": _trace_context,
    "orchestration_state": _state,
    "lock_set": list,
    "tags": _tags,
}
