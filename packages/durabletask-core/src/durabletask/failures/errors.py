"""The errors of Durable Task, except for those that only the transport meets.

Each keeps its fields when it is pickled: users run helpers of orchestrators in process pools,
and `Exception` by itself is rebuilt from its message only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from durabletask.failures.details import FailureDetails
from durabletask.failures.wire import from_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.protocol import messages

_MOST_NAMES_SHOWN = 10


class DurableTaskError(Exception):
    """The base of all errors that Durable Task itself raises."""

    __module__ = "durabletask.failures"


class UnsupportedByEngineError(DurableTaskError, NotImplementedError):
    """The code asked for something that its engine does not support.

    `instead` says what to do about it.
    """

    __module__ = "durabletask.task"

    def __init__(self, engine: str, operation: str, instead: str) -> None:
        self.engine = engine
        self.operation = operation
        self.instead = instead
        super().__init__(f"{operation} is not possible on {engine}. {instead}")

    # Pickle rebuilds exceptions from args, which hold only the message.
    def __reduce__(self) -> tuple[type[UnsupportedByEngineError], tuple[str, str, str]]:
        return (type(self), (self.engine, self.operation, self.instead))


class OrchestrationStateError(DurableTaskError):
    """The engine sent a history or a request that cannot be processed."""

    __module__ = "durabletask.task"


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """An action that an orchestrator asked for: `call_activity('greet') with ID=3`.

    `method` is the context method it used, `name` what it called or raised (empty for timers),
    `target` the instance or entity it addressed, if any.
    """

    id: int
    method: str
    name: str = ""
    target: str = ""

    def __str__(self) -> str:
        name = f"'{self.name}'" if self.name else ""
        target = f"to '{self.target}'" if self.target else ""
        return f"{self.method}({' '.join(filter(None, (name, target)))}) with ID={self.id}"


class NonDeterminismError(DurableTaskError):
    """The orchestrator asked for something other than its history records.

    `expected` is what history holds, `actual` is what the code asked for under that id now
    (None if it asked for nothing). `ended` says how the code had ended by then, as in
    "returned"; it is empty if the code had not ended.
    """

    __module__ = "durabletask.task"

    def __init__(
        self, expected: RequestedAction, actual: RequestedAction | None = None, ended: str = ""
    ) -> None:
        self.expected = expected
        self.actual = actual
        self.ended = ended
        super().__init__(
            f"history records {expected}, but during replay the code {self._did()}. Did the "
            "orchestrator change while this instance was running, or does it decide by something "
            "that is not in its history? Check that it takes time, ids and randomness from its "
            "context, does no I/O of its own, and that changed code is deployed under a new name "
            "or version."
        )

    def _did(self) -> str:
        if self.actual is not None:
            return f"asked for {self.actual}"
        if self.ended:
            return f"had already {self.ended}"
        return f"asked for nothing with ID={self.expected.id}"

    # Pickle rebuilds exceptions from args, which hold only the message.
    def __reduce__(self) -> tuple[type[Self], tuple[RequestedAction, RequestedAction | None, str]]:
        return (type(self), (self.expected, self.actual, self.ended))


class NotRegisteredError(DurableTaskError, ValueError):
    """This worker was sent work under a name that is not registered."""

    __module__ = "durabletask.worker"
    _kind: ClassVar[str] = "function"
    _added_by: ClassVar[str] = "add_..."

    def __init__(self, name: str, registered: Iterable[str] = ()) -> None:
        self.name = name
        self.registered = tuple(sorted(registered))
        super().__init__(
            f"A '{name}' {self._kind} was not registered. {self._known()} Register it with "
            f"{self._added_by}(...) before the worker starts, or correct the name where it is "
            "called."
        )

    def _known(self) -> str:
        if not self.registered:
            return f"This worker has no {self._kind} registered."
        import difflib  # slow to import, and most programs never get here

        close = difflib.get_close_matches(self.name, self.registered, n=1)
        shown = ", ".join(repr(name) for name in self.registered[:_MOST_NAMES_SHOWN])
        more = len(self.registered) - _MOST_NAMES_SHOWN
        listed = shown + (f" and {more} more" if more > 0 else "")
        guess = f"Did you mean '{close[0]}'? " if close else ""
        return f"{guess}This worker has {listed}."

    def __reduce__(self) -> tuple[type[Self], tuple[str, tuple[str, ...]]]:
        return (type(self), (self.name, self.registered))


class OrchestratorNotRegisteredError(NotRegisteredError):
    """An instance was scheduled under a name that this worker has not registered."""

    __module__ = "durabletask.worker"
    _kind = "orchestrator"
    _added_by = "worker.add_orchestrator"


class OrchestratorVersionNotRegisteredError(OrchestratorNotRegisteredError):
    """An instance needs a version of its orchestrator that this worker has not registered.

    `version` is that version's name; None if history does not name it.
    """

    __module__ = "durabletask.worker"

    def __init__(self, name: str, version: str | None, registered: Iterable[str] = ()) -> None:
        self.name = name
        self.version = version
        self.registered = tuple(sorted(registered))
        wanted = f"version '{version}'" if version else "version that history names"
        DurableTaskError.__init__(
            self,
            f"Orchestrator '{name}' has no {wanted} in this worker, which has "
            f"{', '.join(map(repr, self.registered))}. Register that version, schedule the "
            "instance with version=..., or mark one with is_latest=True.",
        )

    def __reduce__(self) -> tuple[type[Self], tuple[str, str | None, tuple[str, ...]]]:  # type: ignore[override]
        return (type(self), (self.name, self.version, self.registered))


class ActivityNotRegisteredError(NotRegisteredError):
    """An orchestrator called an activity that this worker has not registered."""

    __module__ = "durabletask.worker"
    _kind = "activity"
    _added_by = "worker.add_activity"


class EntityNotRegisteredError(NotRegisteredError):
    """An operation was sent to an entity that this worker has not registered."""

    __module__ = "durabletask.worker"
    _kind = "entity"
    _added_by = "worker.add_entity"


class TaskFailedError(DurableTaskError):
    """An activity, a sub-orchestration or an entity call failed; see `details`."""

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
        """The failure as the other side reported it."""
        return self._details

    def __reduce__(self) -> tuple[type[Self], tuple[str, FailureDetails]]:
        return (type(self), (str(self), self._details))


class TaskCancelledError(DurableTaskError):
    """The task was cancelled, so it has no result."""

    __module__ = "durabletask.task"


class JsonEncodeOutputException(DurableTaskError):  # noqa: N818  # the official SDK's name
    """The result of an orchestrator cannot be serialized."""

    # Programs compare the failure's error type with this path. There is no such module.
    __module__ = "durabletask.internal.json_encode_output_exception"

    # Pickle would look for the class in that module.
    def __reduce__(self) -> tuple[Callable[[str], JsonEncodeOutputException], tuple[str]]:
        return (_rebuilt, (str(self),))


def _rebuilt(message: str) -> JsonEncodeOutputException:
    return JsonEncodeOutputException(message)


class OrchestrationFailedError(DurableTaskError):
    """The instance failed; see `failure_details`."""

    __module__ = "durabletask.client"

    def __init__(self, message: str, failure_details: FailureDetails) -> None:
        super().__init__(message)
        self._failure_details = failure_details

    @property
    def failure_details(self) -> FailureDetails:
        """The failure that ended the instance."""
        return self._failure_details

    def __reduce__(self) -> tuple[type[Self], tuple[str, FailureDetails]]:
        return (type(self), (str(self), self._failure_details))


def _as_details(
    failure: FailureDetails | messages.TaskFailureDetails | BaseException,
) -> FailureDetails:
    if isinstance(failure, FailureDetails):
        return failure
    if isinstance(failure, BaseException):
        # Late: `capture` imports TaskFailedError from this module.
        from durabletask.failures.capture import details_from_exception

        return details_from_exception(failure)
    return from_message(failure)
