"""Host orchestrators, activities and entities: `TaskHubGrpcWorker` and its options.

The worker keeps a stream of work items open, runs user code on threads or in an event loop,
and delivers completions. `durabletask.core` decides what an orchestration does next.
"""

from __future__ import annotations

from durabletask.core.settings import DEFAULT_MAXIMUM_TIMER_INTERVAL
from durabletask.core.versioning import (
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
)
from durabletask.failures import (
    ActivityNotRegisteredError,
    EntityNotRegisteredError,
    OrchestratorNotRegisteredError,
    OrchestratorVersionNotRegisteredError,
)

from ._filters import (
    ActivityWorkItemFilter,
    EntityWorkItemFilter,
    OrchestrationWorkItemFilter,
    WorkItemFilters,
)
from ._options import ConcurrencyOptions
from ._work_items import MessageTooLargeError
from ._worker import TaskHubGrpcWorker

DATETIME_STRING_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
"""How the official SDK writes a naive UTC datetime as text."""

__all__ = [
    "DATETIME_STRING_FORMAT",
    "DEFAULT_MAXIMUM_TIMER_INTERVAL",
    "ActivityNotRegisteredError",
    "ActivityWorkItemFilter",
    "ConcurrencyOptions",
    "EntityNotRegisteredError",
    "EntityWorkItemFilter",
    "MessageTooLargeError",
    "OrchestrationWorkItemFilter",
    "OrchestratorNotRegisteredError",
    "OrchestratorVersionNotRegisteredError",
    "TaskHubGrpcWorker",
    "VersionFailureStrategy",
    "VersionMatchStrategy",
    "VersioningOptions",
    "WorkItemFilters",
]

# Programs know these by the module they import them from.
for _public in (
    ActivityWorkItemFilter,
    ConcurrencyOptions,
    EntityWorkItemFilter,
    OrchestrationWorkItemFilter,
    TaskHubGrpcWorker,
    VersionFailureStrategy,
    VersionMatchStrategy,
    VersioningOptions,
    WorkItemFilters,
):
    _public.__module__ = __name__
