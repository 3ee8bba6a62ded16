"""Errors, and failure details: the description of an exception that crosses processes.

    DurableTaskError
    |-- NotRegisteredError (ValueError)         yours: nothing of that name in this worker
    |   |-- OrchestratorNotRegisteredError
    |   |   `-- OrchestratorVersionNotRegisteredError
    |   |-- ActivityNotRegisteredError
    |   `-- EntityNotRegisteredError
    |-- UnsupportedByEngineError                yours: the engine does not support the operation
    |   (NotImplementedError)
    |-- NonDeterminismError                     yours: the code no longer matches its history
    |-- OrchestrationStateError                 the engine's: a history that cannot be
    |-- TaskFailedError                         the task's: it failed; see `.details`
    |-- TaskCancelledError                      the task's: it was cancelled
    |-- JsonEncodeOutputException               the instance's: its result cannot be serialized
    `-- OrchestrationFailedError                the instance's: it ended FAILED

The errors of the sidecar (unavailable, not found, exists already ...) are defined in
`durabletask.transport.errors`, because only the transport raises those.

`FailureDetails` describe an exception where the exception itself cannot go: in other processes
and languages. Programs compare `error_type` as text, so every public class here has the module
path under which programs import it (`durabletask.task.TaskFailedError`), not that of its file.
"""

from __future__ import annotations

from durabletask.failures.capture import ExceptionPropertiesProvider, details_from_exception
from durabletask.failures.details import FailureDetails, qualified_name
from durabletask.failures.errors import (
    ActivityNotRegisteredError,
    DurableTaskError,
    EntityNotRegisteredError,
    JsonEncodeOutputException,
    NonDeterminismError,
    NotRegisteredError,
    OrchestrationFailedError,
    OrchestrationStateError,
    OrchestratorNotRegisteredError,
    OrchestratorVersionNotRegisteredError,
    RequestedAction,
    TaskCancelledError,
    TaskFailedError,
    UnsupportedByEngineError,
)
from durabletask.failures.wire import from_message, to_message

__all__ = [
    "ActivityNotRegisteredError",
    "DurableTaskError",
    "EntityNotRegisteredError",
    "ExceptionPropertiesProvider",
    "FailureDetails",
    "JsonEncodeOutputException",
    "NonDeterminismError",
    "NotRegisteredError",
    "OrchestrationFailedError",
    "OrchestrationStateError",
    "OrchestratorNotRegisteredError",
    "OrchestratorVersionNotRegisteredError",
    "RequestedAction",
    "TaskCancelledError",
    "TaskFailedError",
    "UnsupportedByEngineError",
    "details_from_exception",
    "from_message",
    "qualified_name",
    "to_message",
]
