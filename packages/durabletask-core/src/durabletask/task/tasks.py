"""Tasks: what an orchestrator can wait for.

A generator waits for a task by `yield`, an `async def` by `await`. Both give the task to the code
that runs the orchestrator (`durabletask.core.runner`), which sends the result in when the task is
complete.
"""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from durabletask.failures import TaskCancelledError, TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from durabletask.failures import FailureDetails
    from durabletask.protocol import messages
    from durabletask.task.composites import CompositeTask
    from durabletask.task.retry_policy import RetryPolicy

T_co = TypeVar("T_co", covariant=True)


class Task(ABC, Generic[T_co]):
    """A result that may not be available yet; yield or await it to wait for it."""

    __module__ = "durabletask.task"
    __slots__ = ("_exception", "_is_complete", "_parents", "_result")

    def __init__(self) -> None:
        self._is_complete = False
        self._result: Any = None
        self._exception: BaseException | None = None
        # None until needed: most tasks are in no group.
        self._parents: list[CompositeTask[Any]] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it has completed, failed or been cancelled."""
        return self._is_complete

    @property
    def is_failed(self) -> bool:
        """Whether it is complete and failed."""
        return self._exception is not None

    @property
    def result(self) -> T_co:
        """The same as `get_result()`."""
        return self.get_result()

    def get_result(self) -> T_co:
        """The result; raises what the task failed with, or ValueError before completion."""
        if not self._is_complete:
            raise ValueError("The task has not completed.")
        if self._exception is not None:
            raise self._exception
        return self._result  # type: ignore[no-any-return]

    def get_exception(self) -> BaseException:
        """The exception that the task failed with; ValueError if it has not failed."""
        if self._exception is None:
            raise ValueError("The task has not failed.")
        return self._exception

    def __await__(self) -> Generator[Any, Any, T_co]:
        return (yield self)  # type: ignore[no-any-return]  # the runner sends the result

    def add_parent(self, parent: CompositeTask[Any]) -> None:
        """Notify that group when this task completes, or now if it has."""
        if self._is_complete:
            parent.on_child_completed(self)
        elif self._parents is None:
            self._parents = [parent]
        else:
            self._parents.append(parent)

    def _settle(self, result: Any, exception: BaseException | None) -> None:
        if self._is_complete:
            raise ValueError("The task has already completed.")
        self._is_complete = True
        self._result = result
        self._exception = exception
        if self._parents is not None:
            parents, self._parents = self._parents, None
            for parent in parents:
                parent.on_child_completed(self)


class CompletableTask(Task[T_co]):
    """A task that its owner completes or fails, once.

    Covariant although `complete` takes a result: only the owner completes a task, and
    `when_any([approval, deadline])` needs a common type of both.
    """

    __module__ = "durabletask.task"
    __slots__ = ()

    def complete(self, result: T_co) -> None:  # type: ignore[misc]  # see the class
        """Complete it with that result; ValueError if it is complete already."""
        self._settle(result, None)

    def fail(
        self,
        message: str,
        details: FailureDetails | messages.TaskFailureDetails | BaseException,
    ) -> None:
        """Fail it with a TaskFailedError; ValueError if it is complete already."""
        self._settle(None, TaskFailedError(message, details))

    def fail_with(self, exception: BaseException) -> None:
        """Fail it with that exception itself; ValueError if it is complete already."""
        self._settle(None, exception)


class RetryableTask(CompletableTask[T_co]):
    """A call that is retried; completes when it succeeds or no attempt is left."""

    __module__ = "durabletask.task"
    __slots__ = ("_retry_policy",)

    def __init__(self, retry_policy: RetryPolicy) -> None:
        super().__init__()
        self._retry_policy = retry_policy

    @property
    def retry_policy(self) -> RetryPolicy:
        """When it is retried."""
        return self._retry_policy


class CancellableTask(CompletableTask[T_co]):
    """A task that the orchestrator can cancel."""

    __module__ = "durabletask.task"
    __slots__ = ("_cancel_handler", "_is_cancelled")

    def __init__(self) -> None:
        super().__init__()
        self._is_cancelled = False
        self._cancel_handler: Callable[[], None] | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` ended it."""
        return self._is_cancelled

    def get_result(self) -> T_co:
        """The result; raises TaskCancelledError after `cancel`."""
        if self._is_cancelled:
            raise TaskCancelledError("The task was cancelled.")
        return super().get_result()

    def set_cancel_handler(self, cancel_handler: Callable[[], None]) -> None:
        """Set a function to call when the task is cancelled."""
        self._cancel_handler = cancel_handler

    def cancel(self) -> bool:
        """Cancel it, so that waiting for it raises TaskCancelledError. False if it was complete."""
        if self._is_complete:
            return False
        self._is_cancelled = True
        if self._cancel_handler is not None:
            self._cancel_handler()
        self._settle(None, None)
        return True


class TimerTask(CancellableTask[None]):
    """Completes when the timer fires."""

    __module__ = "durabletask.task"
    __slots__ = ()
