"""What goes wrong, as values that travel and as errors that are raised.

    DurableTaskError
    |-- NotRegisteredError (ValueError)         yours: nothing of that name in this worker
    |   |-- OrchestratorNotRegisteredError
    |   |   `-- OrchestratorVersionNotRegisteredError
    |   |-- ActivityNotRegisteredError
    |   `-- EntityNotRegisteredError
    |-- UnsupportedByEngineError                yours: the engine does not have what you ask for
    |   (NotImplementedError)
    |-- NonDeterminismError                     yours: the code no longer matches its history
    |-- OrchestrationStateError                 history that no orchestrator can have written
    |-- TaskFailedError                         the task's: it failed, `.details` say how
    |-- TaskCancelledError                      the task's: it was cancelled
    |-- JsonEncodeOutputException               the instance's: its result cannot be written
    `-- OrchestrationFailedError                the instance's: it ended FAILED

The sidecar's branch of the tree (unavailable, not found, exists already ...) stands in
`durabletask.transport.errors`, because only the transport meets those.

`FailureDetails` is the portable account of an exception: it crosses processes and
languages where the exception itself cannot. `error_type` is compared as text by programs
in the wild, so every public class here reports the module path under which programs
import it (`durabletask.task.TaskFailedError`), not the file it is written in.

Knows nothing about tasks, histories or who raises what.
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
