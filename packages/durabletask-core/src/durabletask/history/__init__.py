"""The history of an instance, with one class for each kind of event.

    for event in client.get_orchestration_history("order-1"):
        match event:
            case TaskFailedEvent(failure_details=details):
                print(event.timestamp, details)

Names, fields and their order are those of the official SDK; `to_dict()` gives values that JSON
can hold. An event of a kind that this version does not know becomes a `GenericEvent`, so that a
history from a newer engine can still be read.
"""

from __future__ import annotations

from durabletask.history.events import (
    ContinueAsNewEvent,
    DetachedOrchestrationInstanceCreatedEvent,
    EntityLockGrantedEvent,
    EntityLockRequestedEvent,
    EntityOperationCalledEvent,
    EntityOperationCompletedEvent,
    EntityOperationFailedEvent,
    EntityOperationSignaledEvent,
    EntityUnlockSentEvent,
    EventRaisedEvent,
    EventSentEvent,
    ExecutionCompletedEvent,
    ExecutionResumedEvent,
    ExecutionRewoundEvent,
    ExecutionStalledEvent,
    ExecutionStartedEvent,
    ExecutionSuspendedEvent,
    ExecutionTerminatedEvent,
    GenericEvent,
    HistoryEvent,
    HistoryStateEvent,
    OrchestrationInstance,
    OrchestratorCompletedEvent,
    OrchestratorStartedEvent,
    ParentInstanceInfo,
    SubOrchestrationInstanceCompletedEvent,
    SubOrchestrationInstanceCreatedEvent,
    SubOrchestrationInstanceFailedEvent,
    TaskCompletedEvent,
    TaskFailedEvent,
    TaskScheduledEvent,
    TimerCreatedEvent,
    TimerFiredEvent,
    TraceContext,
    to_dict,
)
from durabletask.history.wire import from_message

__all__ = [
    "ContinueAsNewEvent",
    "DetachedOrchestrationInstanceCreatedEvent",
    "EntityLockGrantedEvent",
    "EntityLockRequestedEvent",
    "EntityOperationCalledEvent",
    "EntityOperationCompletedEvent",
    "EntityOperationFailedEvent",
    "EntityOperationSignaledEvent",
    "EntityUnlockSentEvent",
    "EventRaisedEvent",
    "EventSentEvent",
    "ExecutionCompletedEvent",
    "ExecutionResumedEvent",
    "ExecutionRewoundEvent",
    "ExecutionStalledEvent",
    "ExecutionStartedEvent",
    "ExecutionSuspendedEvent",
    "ExecutionTerminatedEvent",
    "GenericEvent",
    "HistoryEvent",
    "HistoryStateEvent",
    "OrchestrationInstance",
    "OrchestratorCompletedEvent",
    "OrchestratorStartedEvent",
    "ParentInstanceInfo",
    "SubOrchestrationInstanceCompletedEvent",
    "SubOrchestrationInstanceCreatedEvent",
    "SubOrchestrationInstanceFailedEvent",
    "TaskCompletedEvent",
    "TaskFailedEvent",
    "TaskScheduledEvent",
    "TimerCreatedEvent",
    "TimerFiredEvent",
    "TraceContext",
    "from_message",
    "to_dict",
]

# The official path, by which programs and pickles know them.
for _name in __all__:
    globals()[_name].__module__ = __name__
