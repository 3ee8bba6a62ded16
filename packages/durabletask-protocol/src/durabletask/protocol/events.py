"""One constructor for each kind of history event, named like its field in `HistoryEvent`.

The sidecar's engine writes history with these, and tests write the histories they need.
`at` is when the event happened. `event_id` is the id of the action that the event records, or
-1 if it records none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.protocol.blank_messages import blank

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from durabletask.protocol.messages import (
        HistoryEvent,
        OrchestrationInstance,
        OrchestrationState,
        OrchestrationStatus,
        OrchestrationVersion,
        ParentInstanceInfo,
        StalledReason,
        TaskFailureDetails,
        TraceContext,
    )

UNNUMBERED = -1
"""The `event_id` of an event that records no action of the orchestrator."""


def execution_started(
    name: str,
    input: str | None = None,
    *,
    instance_id: str,
    execution_id: str | None = None,
    version: str | None = None,
    tags: Mapping[str, str] | None = None,
    parent: ParentInstanceInfo | None = None,
    scheduled_start: datetime | None = None,
    parent_trace_context: TraceContext | None = None,
    orchestration_span_id: str | None = None,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_started = messages.ExecutionStartedEvent(
        name=name,
        version=version,
        input=input,
        orchestration_instance=messages.OrchestrationInstance(
            instance_id=instance_id, execution_id=execution_id
        ),
        parent_instance=parent,
        scheduled_start_timestamp=scheduled_start,
        parent_trace_context=parent_trace_context,
        orchestration_span_id=orchestration_span_id,
        tags=dict(tags or {}),
    )
    return event


def execution_completed(
    status: OrchestrationStatus,
    result: str | None = None,
    failure_details: TaskFailureDetails | None = None,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_completed = messages.ExecutionCompletedEvent(
        orchestration_status=status, result=result, failure_details=failure_details
    )
    return event


def execution_terminated(
    output: str | None = None,
    *,
    recurse: bool = False,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_terminated = messages.ExecutionTerminatedEvent(input=output, recurse=recurse)
    return event


def execution_suspended(
    reason: str | None = None, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_suspended = messages.ExecutionSuspendedEvent(input=reason)
    return event


def execution_resumed(
    reason: str | None = None, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_resumed = messages.ExecutionResumedEvent(input=reason)
    return event


def execution_rewound(
    reason: str | None = None,
    *,
    instance_id: str | None = None,
    parent_execution_id: str | None = None,
    name: str | None = None,
    version: str | None = None,
    input: str | None = None,
    parent: ParentInstanceInfo | None = None,
    parent_trace_context: TraceContext | None = None,
    tags: Mapping[str, str] | None = None,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_rewound = messages.ExecutionRewoundEvent(
        reason=reason,
        parent_execution_id=parent_execution_id,
        instance_id=instance_id,
        parent_trace_context=parent_trace_context,
        name=name,
        version=version,
        input=input,
        parent_instance=parent,
        tags=dict(tags or {}),
    )
    return event


def execution_stalled(
    reason: StalledReason,
    description: str | None = None,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.execution_stalled = messages.ExecutionStalledEvent(reason=reason, description=description)
    return event


def continue_as_new(
    input: str | None = None, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.continue_as_new = messages.ContinueAsNewEvent(input=input)
    return event


def orchestrator_started(
    at: datetime | None = None,
    *,
    version: OrchestrationVersion | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.orchestrator_started = messages.OrchestratorStartedEvent(version=version)
    return event


def orchestrator_completed(
    at: datetime | None = None, *, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.orchestrator_completed = messages.OrchestratorCompletedEvent()
    return event


def task_scheduled(
    event_id: int,
    name: str,
    input: str | None = None,
    *,
    version: str | None = None,
    tags: Mapping[str, str] | None = None,
    parent_trace_context: TraceContext | None = None,
    task_execution_id: str = "",
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.task_scheduled = messages.TaskScheduledEvent(
        name=name,
        version=version,
        input=input,
        parent_trace_context=parent_trace_context,
        tags=dict(tags or {}),
        task_execution_id=task_execution_id,
    )
    return event


def task_completed(
    task_scheduled_id: int,
    result: str | None = None,
    *,
    task_execution_id: str = "",
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.task_completed = messages.TaskCompletedEvent(
        task_scheduled_id=task_scheduled_id, result=result, task_execution_id=task_execution_id
    )
    return event


def task_failed(
    task_scheduled_id: int,
    failure_details: TaskFailureDetails,
    *,
    task_execution_id: str = "",
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.task_failed = messages.TaskFailedEvent(
        task_scheduled_id=task_scheduled_id,
        failure_details=failure_details,
        task_execution_id=task_execution_id,
    )
    return event


def sub_orchestration_instance_created(
    event_id: int,
    name: str,
    input: str | None = None,
    *,
    instance_id: str,
    version: str | None = None,
    tags: Mapping[str, str] | None = None,
    parent_trace_context: TraceContext | None = None,
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.sub_orchestration_instance_created = messages.SubOrchestrationInstanceCreatedEvent(
        instance_id=instance_id,
        name=name,
        version=version,
        input=input,
        parent_trace_context=parent_trace_context,
        tags=dict(tags or {}),
    )
    return event


def sub_orchestration_instance_completed(
    task_scheduled_id: int,
    result: str | None = None,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.sub_orchestration_instance_completed = messages.SubOrchestrationInstanceCompletedEvent(
        task_scheduled_id=task_scheduled_id, result=result
    )
    return event


def sub_orchestration_instance_failed(
    task_scheduled_id: int,
    failure_details: TaskFailureDetails,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.sub_orchestration_instance_failed = messages.SubOrchestrationInstanceFailedEvent(
        task_scheduled_id=task_scheduled_id, failure_details=failure_details
    )
    return event


def detached_orchestration_instance_created(
    event_id: int, instance_id: str, *, at: datetime | None = None
) -> HistoryEvent:
    event = _event(event_id, at)
    event.detached_orchestration_instance_created = (
        messages.DetachedOrchestrationInstanceCreatedEvent(instance_id=instance_id)
    )
    return event


def timer_created(
    event_id: int, fire_at: datetime, *, name: str | None = None, at: datetime | None = None
) -> HistoryEvent:
    event = _event(event_id, at)
    event.timer_created = messages.TimerCreatedEvent(fire_at=fire_at, name=name)
    return event


def timer_fired(
    timer_id: int, fire_at: datetime, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.timer_fired = messages.TimerFiredEvent(fire_at=fire_at, timer_id=timer_id)
    return event


def event_sent(
    event_id: int,
    instance_id: str,
    name: str,
    input: str | None = None,
    *,
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.event_sent = messages.EventSentEvent(instance_id=instance_id, name=name, input=input)
    return event


def event_raised(
    name: str,
    input: str | None = None,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.event_raised = messages.EventRaisedEvent(name=name, input=input)
    return event


def generic_event(
    data: str | None = None, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.generic_event = messages.GenericEvent(data=data)
    return event


def history_state(
    state: OrchestrationState, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.history_state = messages.HistoryStateEvent(orchestration_state=state)
    return event


def entity_operation_signaled(
    event_id: int,
    target_instance_id: str | None,
    operation: str,
    input: str | None = None,
    *,
    request_id: str,
    scheduled_time: datetime | None = None,
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_operation_signaled = messages.EntityOperationSignaledEvent(
        request_id=request_id,
        operation=operation,
        scheduled_time=scheduled_time,
        input=input,
        target_instance_id=target_instance_id,
    )
    return event


def entity_operation_called(
    event_id: int,
    target_instance_id: str | None,
    operation: str,
    input: str | None = None,
    *,
    request_id: str,
    parent: OrchestrationInstance | None = None,
    scheduled_time: datetime | None = None,
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_operation_called = messages.EntityOperationCalledEvent(
        request_id=request_id,
        operation=operation,
        scheduled_time=scheduled_time,
        input=input,
        parent_instance_id=None if parent is None else parent.instance_id,
        parent_execution_id=None if parent is None else parent.execution_id,
        target_instance_id=target_instance_id,
    )
    return event


def entity_operation_completed(
    request_id: str,
    output: str | None = None,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_operation_completed = messages.EntityOperationCompletedEvent(
        request_id=request_id, output=output
    )
    return event


def entity_operation_failed(
    request_id: str,
    failure_details: TaskFailureDetails,
    *,
    at: datetime | None = None,
    event_id: int = UNNUMBERED,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_operation_failed = messages.EntityOperationFailedEvent(
        request_id=request_id, failure_details=failure_details
    )
    return event


def entity_lock_requested(
    event_id: int,
    critical_section_id: str,
    lock_set: Sequence[str],
    *,
    position: int = 0,
    parent_instance_id: str | None = None,
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_lock_requested = messages.EntityLockRequestedEvent(
        critical_section_id=critical_section_id,
        lock_set=list(lock_set),
        position=position,
        parent_instance_id=parent_instance_id,
    )
    return event


def entity_lock_granted(
    critical_section_id: str, *, at: datetime | None = None, event_id: int = UNNUMBERED
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_lock_granted = messages.EntityLockGrantedEvent(
        critical_section_id=critical_section_id
    )
    return event


def entity_unlock_sent(
    event_id: int,
    critical_section_id: str,
    target_instance_id: str | None,
    *,
    parent_instance_id: str | None = None,
    at: datetime | None = None,
) -> HistoryEvent:
    event = _event(event_id, at)
    event.entity_unlock_sent = messages.EntityUnlockSentEvent(
        critical_section_id=critical_section_id,
        parent_instance_id=parent_instance_id,
        target_instance_id=target_instance_id,
    )
    return event


def _event(event_id: int, at: datetime | None) -> HistoryEvent:
    event = blank(messages.HistoryEvent)
    event.event_id = event_id
    event.timestamp = at
    return event
