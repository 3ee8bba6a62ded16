"""One class for each kind of history event, with the names and the order of the official SDK.

`event_id` is the id of the action that the event records, or -1 if it records none;
`task_scheduled_id` and `timer_id` refer to such an id. Payloads are the text that was sent.
Times are aware UTC.
"""

# No `from __future__ import annotations`: `typing.get_type_hints` would look the names up in
# the module that `__module__` claims, and data converters ask it about the fields.

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from durabletask.failures import FailureDetails


@dataclass(frozen=True, slots=True)
class OrchestrationInstance:
    """An orchestration instance; `execution_id` changes whenever it continues as new."""

    instance_id: str
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ParentInstanceInfo:
    """The orchestration that waits for a sub-orchestration.

    `task_scheduled_id` is the id of the parent's action that created the child.
    """

    task_scheduled_id: int
    name: str | None = None
    version: str | None = None
    orchestration_instance: OrchestrationInstance | None = None


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a distributed trace, in the format of W3C Trace Context."""

    trace_parent: str
    span_id: str
    trace_state: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """Something that happened to an orchestration."""

    event_id: int
    timestamp: datetime

    def to_dict(self) -> dict[str, Any]:
        """The fields as values that JSON can hold; times are ISO text."""
        return to_dict(self)


def to_dict(event: HistoryEvent) -> dict[str, Any]:
    """The event's fields as values that JSON can hold; times are ISO text."""
    values: dict[str, Any] = _plain(event)
    return values


def _plain(value: Any) -> Any:
    """Dataclasses and mappings as dicts, sequences as lists, times as ISO text; else the value."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class ExecutionStartedEvent(HistoryEvent):
    """The orchestration was created, with this name and input."""

    name: str
    version: str | None = None
    input: str | None = None
    orchestration_instance: OrchestrationInstance | None = None
    parent_instance: ParentInstanceInfo | None = None
    scheduled_start_timestamp: datetime | None = None
    parent_trace_context: TraceContext | None = None
    orchestration_span_id: str | None = None
    tags: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ExecutionCompletedEvent(HistoryEvent):
    """The orchestration ended; the status is a number of `OrchestrationStatus`."""

    orchestration_status: int
    result: str | None = None
    failure_details: FailureDetails | None = None


@dataclass(frozen=True, slots=True)
class ExecutionTerminatedEvent(HistoryEvent):
    """A client terminated the orchestration; `input` becomes its output."""

    input: str | None = None
    recurse: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionSuspendedEvent(HistoryEvent):
    """A client suspended the orchestration; `input` is the reason."""

    input: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionResumedEvent(HistoryEvent):
    """A client resumed the orchestration; `input` is the reason."""

    input: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionRewoundEvent(HistoryEvent):
    """A client rewound the failed orchestration, so that the calls that failed are repeated.

    The fields from `instance_id` on say how to create a sub-orchestration again.
    """

    reason: str | None = None
    parent_execution_id: str | None = None
    instance_id: str | None = None
    parent_trace_context: TraceContext | None = None
    name: str | None = None
    version: str | None = None
    input: str | None = None
    parent_instance: ParentInstanceInfo | None = None
    tags: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ExecutionStalledEvent(HistoryEvent):
    """Dapr's engine found no worker that could go on with the orchestration.

    Not in the official SDK. `reason` is a number of the protocol's `StalledReason`.
    """

    reason: int
    description: str | None = None


@dataclass(frozen=True, slots=True)
class OrchestratorStartedEvent(HistoryEvent):
    """A turn began; its time is the orchestrator's current time until the next one."""


@dataclass(frozen=True, slots=True)
class OrchestratorCompletedEvent(HistoryEvent):
    """A turn ended; not every engine records it."""


@dataclass(frozen=True, slots=True)
class ContinueAsNewEvent(HistoryEvent):
    """The orchestration continued as new; `input` is that of the next execution."""

    input: str | None = None


@dataclass(frozen=True, slots=True)
class TaskScheduledEvent(HistoryEvent):
    """An activity was scheduled."""

    name: str
    version: str | None = None
    input: str | None = None
    parent_trace_context: TraceContext | None = None
    tags: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TaskCompletedEvent(HistoryEvent):
    """An activity completed."""

    task_scheduled_id: int
    result: str | None = None


@dataclass(frozen=True, slots=True)
class TaskFailedEvent(HistoryEvent):
    """An activity failed."""

    task_scheduled_id: int
    failure_details: FailureDetails | None = None


@dataclass(frozen=True, slots=True)
class SubOrchestrationInstanceCreatedEvent(HistoryEvent):
    """A sub-orchestration was created."""

    instance_id: str
    name: str
    version: str | None = None
    input: str | None = None
    parent_trace_context: TraceContext | None = None
    tags: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SubOrchestrationInstanceCompletedEvent(HistoryEvent):
    """A sub-orchestration completed."""

    task_scheduled_id: int
    result: str | None = None


@dataclass(frozen=True, slots=True)
class SubOrchestrationInstanceFailedEvent(HistoryEvent):
    """A sub-orchestration failed, was terminated, or could not be created."""

    task_scheduled_id: int
    failure_details: FailureDetails | None = None


@dataclass(frozen=True, slots=True)
class DetachedOrchestrationInstanceCreatedEvent(HistoryEvent):
    """An orchestration was started without a parent that waits. Not in the official SDK."""

    instance_id: str


@dataclass(frozen=True, slots=True)
class TimerCreatedEvent(HistoryEvent):
    """A timer was created."""

    fire_at: datetime


@dataclass(frozen=True, slots=True)
class TimerFiredEvent(HistoryEvent):
    """A timer fired; `fire_at` is when it was due."""

    fire_at: datetime
    timer_id: int


@dataclass(frozen=True, slots=True)
class EventSentEvent(HistoryEvent):
    """The orchestration sent an event to another one, `instance_id`."""

    instance_id: str
    name: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class EventRaisedEvent(HistoryEvent):
    """An external event was raised."""

    name: str
    input: str | None = None


@dataclass(frozen=True, slots=True)
class GenericEvent(HistoryEvent):
    """An event of free form, or of a kind that this version does not know."""

    data: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryStateEvent(HistoryEvent):
    """A copy of the instance's state, in the JSON form of the protocol's message."""

    orchestration_state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EntityOperationSignaledEvent(HistoryEvent):
    """An entity was signaled: it sends no answer."""

    request_id: str
    operation: str
    scheduled_time: datetime | None = None
    input: str | None = None
    target_instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class EntityOperationCalledEvent(HistoryEvent):
    """An entity was called; the answer bears the same `request_id`."""

    request_id: str
    operation: str
    scheduled_time: datetime | None = None
    input: str | None = None
    parent_instance_id: str | None = None
    parent_execution_id: str | None = None
    target_instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class EntityOperationCompletedEvent(HistoryEvent):
    """An entity operation completed."""

    request_id: str
    output: str | None = None


@dataclass(frozen=True, slots=True)
class EntityOperationFailedEvent(HistoryEvent):
    """An entity operation failed."""

    request_id: str
    failure_details: FailureDetails | None = None


@dataclass(frozen=True, slots=True)
class EntityLockRequestedEvent(HistoryEvent):
    """The orchestration asked to lock entities; `position` counts those already locked."""

    critical_section_id: str
    lock_set: list[str]
    position: int
    parent_instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class EntityLockGrantedEvent(HistoryEvent):
    """The orchestration has locked the entities."""

    critical_section_id: str


@dataclass(frozen=True, slots=True)
class EntityUnlockSentEvent(HistoryEvent):
    """The orchestration unlocked an entity."""

    critical_section_id: str
    parent_instance_id: str | None = None
    target_instance_id: str | None = None
