"""The API for authors of orchestrators, activities and entities.

Names, signatures and module paths are those of the official SDK. New here: a task can be
awaited as well as yielded, so an orchestrator may be an `async def` and its results are typed.

    async def greet_all(ctx: OrchestrationContext, names: list[str]) -> list[str]:
        return await when_all([ctx.call_activity(greet, input=name) for name in names])

Values and interfaces only; `durabletask.core` runs orchestrators.
"""

from __future__ import annotations

from durabletask.entities import DurableEntity, EntityContext, EntityInstanceId, EntityLock
from durabletask.failures import (
    FailureDetails,
    NonDeterminismError,
    OrchestrationStateError,
    TaskCancelledError,
    TaskFailedError,
    UnsupportedByEngineError,
)
from durabletask.task.composites import (
    CompositeTask,
    WhenAllTask,
    WhenAnyTask,
    when_all,
    when_any,
)
from durabletask.task.functions import (
    Activity,
    ActivityContext,
    Entity,
    Orchestrator,
    get_entity_name,
    get_name,
    named,
)
from durabletask.task.orchestrations import OrchestrationContext, ReplaySafeLogger
from durabletask.task.retry_policy import RetryPolicy
from durabletask.task.tasks import CancellableTask, CompletableTask, RetryableTask, Task, TimerTask

__all__ = [
    "Activity",
    "ActivityContext",
    "CancellableTask",
    "CompletableTask",
    "CompositeTask",
    "DurableEntity",
    "Entity",
    "EntityContext",
    "EntityInstanceId",
    "EntityLock",
    "FailureDetails",
    "NonDeterminismError",
    "OrchestrationContext",
    "OrchestrationStateError",
    "Orchestrator",
    "ReplaySafeLogger",
    "RetryPolicy",
    "RetryableTask",
    "Task",
    "TaskCancelledError",
    "TaskFailedError",
    "TimerTask",
    "UnsupportedByEngineError",
    "WhenAllTask",
    "WhenAnyTask",
    "get_entity_name",
    "get_name",
    "named",
    "when_all",
    "when_any",
]
