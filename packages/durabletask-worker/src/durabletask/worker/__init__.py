"""Host orchestrators and activities: `TaskHubGrpcWorker` and what it is told.

`durabletask.core` decides, this package talks: it keeps the stream of work items open,
runs user code where it belongs and brings the answers home.
"""

from __future__ import annotations

from durabletask.core.settings import DEFAULT_MAXIMUM_TIMER_INTERVAL
from durabletask.failures import (
    ActivityNotRegisteredError,
    EntityNotRegisteredError,
    OrchestratorNotRegisteredError,
)

from ._options import ConcurrencyOptions
from ._work import MessageTooLargeError
from ._worker import TaskHubGrpcWorker

DATETIME_STRING_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
"""How the official SDK writes a naive UTC datetime as text."""

__all__ = [
    "DATETIME_STRING_FORMAT",
    "DEFAULT_MAXIMUM_TIMER_INTERVAL",
    "ActivityNotRegisteredError",
    "ConcurrencyOptions",
    "EntityNotRegisteredError",
    "MessageTooLargeError",
    "OrchestratorNotRegisteredError",
    "TaskHubGrpcWorker",
]

ConcurrencyOptions.__module__ = TaskHubGrpcWorker.__module__ = __name__
