"""How a task or an instance can end other than well, as errors.

Each keeps its details and survives pickling: users run orchestrators' helpers in process
pools, and `Exception` by itself rebuilds only from its message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from durabletask.failures.details import FailureDetails
from durabletask.failures.errors import DurableTaskError
from durabletask.failures.wire import from_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol import messages


class TaskFailedError(DurableTaskError):
    """An activity, a sub-orchestration or an entity call failed; `details` say how."""

    __module__ = "durabletask.task"

    def __init__(
        self,
        message: str,
        details: FailureDetails | messages.TaskFailureDetails | BaseException,
    ) -> None:
        super().__init__(message)
        self._details = _as_details(details)

    @property
    def details(self) -> FailureDetails:
        """The failure as the other side told it."""
        return self._details

    def __reduce__(self) -> tuple[type[Self], tuple[str, FailureDetails]]:
        return (type(self), (str(self), self._details))


class TaskCancelledError(DurableTaskError):
    """The task was cancelled, so it has no result."""

    __module__ = "durabletask.task"


class JsonEncodeOutputException(DurableTaskError):  # noqa: N818  # the official SDK's name
    """What an orchestrator returned cannot be written."""

    # Programs compare the failure's error type with this path. There is no such module.
    __module__ = "durabletask.internal.json_encode_output_exception"

    # Pickle would look for the class in that module.
    def __reduce__(self) -> tuple[Callable[[str], JsonEncodeOutputException], tuple[str]]:
        return (_unwritten, (str(self),))


def _unwritten(message: str) -> JsonEncodeOutputException:
    return JsonEncodeOutputException(message)


class OrchestrationFailedError(DurableTaskError):
    """The instance ended FAILED; `failure_details` say how."""

    __module__ = "durabletask.client"

    def __init__(self, message: str, failure_details: FailureDetails) -> None:
        super().__init__(message)
        self._failure_details = failure_details

    @property
    def failure_details(self) -> FailureDetails:
        """What ended the instance."""
        return self._failure_details

    def __reduce__(self) -> tuple[type[Self], tuple[str, FailureDetails]]:
        return (type(self), (str(self), self._failure_details))


def _as_details(
    told: FailureDetails | messages.TaskFailureDetails | BaseException,
) -> FailureDetails:
    if isinstance(told, FailureDetails):
        return told
    if isinstance(told, BaseException):
        # Late: capture has to know this module's TaskFailedError.
        from durabletask.failures.capture import details_from_exception

        return details_from_exception(told)
    return from_message(told)
