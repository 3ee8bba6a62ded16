"""Run an orchestrator's code until it waits.

A plain function is done when it has been called. A generator yields the tasks it waits for,
and so does an `async def`: awaiting a task yields it. A coroutine is resumed by `send` just
like a generator; no event loop is involved.

User code runs in a `contextvars` context of its own for each orchestration, so that one
instance's variables do not leak into the next on the same thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeAlias

from durabletask.task import Task
from durabletask.task.non_task_errors import needs_a_loop, not_a_task

_Code: TypeAlias = Generator[Any, Any, Any] | Coroutine[Any, Any, Any]

# Code may wait again in a `finally` while it is closed; each attempt to close ends one of them.
_MAX_CLOSE_ATTEMPTS = 100


# Not frozen, as that would triple the time to make one, and each work item makes some. None is
# changed once it is made.
@dataclass(slots=True)
class Returned:
    """User code returned that value."""

    value: Any


# Not frozen, for the same reason.
@dataclass(slots=True)
class Raised:
    """User code raised that exception, which need not be an `Exception`: `sys.exit` counts too."""

    exception: BaseException


CallOutcome: TypeAlias = Returned | Raised


class OrchestratorRunner:
    """One run of one orchestrator."""

    __slots__ = ("_awaited", "_code", "_context")

    def __init__(self) -> None:
        self._context = Context()
        self._code: _Code | None = None
        self._awaited: Task[Any] | None = None

    def start(self, call: Callable[[], Any]) -> CallOutcome | None:
        """Call the orchestrator and run it to its first wait; its outcome if it never waits."""
        try:
            result = self._context.run(call)
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            return _raised(error)
        if inspect.isasyncgen(result):
            return Raised(not_a_task(result))
        if not (inspect.isgenerator(result) or inspect.iscoroutine(result)):
            return Returned(result)
        self._code = result
        return self._run(result.send, None)

    @property
    def can_resume(self) -> bool:
        """Whether the task that the orchestrator waits for is complete."""
        return self._awaited is not None and self._awaited.is_complete

    def resume(self) -> CallOutcome | None:
        """Go on from a wait that is over to the next; the outcome if there is none."""
        task, self._awaited = self._awaited, None
        assert task is not None
        assert self._code is not None
        try:
            result = task.get_result()
        except BaseException as failure:  # noqa: BLE001  # the waiting code's to handle
            # Where the task failed is in its details; our own frames do not help users.
            error = failure.with_traceback(None)
        else:
            return self._run(self._code.send, result)
        # Not inside `except`, or the error would become its own context.
        return self._run(self._code.throw, error)

    def close(self) -> None:
        """Run the `finally` blocks of code that still waits; never raises."""
        code, self._code, self._awaited = self._code, None, None
        if code is None:
            return
        for _ in range(_MAX_CLOSE_ATTEMPTS):
            try:
                self._context.run(code.close)
            except RuntimeError:
                # It may have waited again instead of ending: closing goes on from there, and
                # does nothing if it has ended.
                continue
            except BaseException:  # noqa: BLE001  # nobody is left to report it to
                return
            else:
                return

    def _run(self, resume: Callable[[Any], Any], value: Any) -> CallOutcome | None:
        try:
            awaited = self._context.run(resume, value)
        except StopIteration as stop:
            self._code = None
            return Returned(stop.value)
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            self._code = None
            return _raised(error)
        if isinstance(awaited, Task):
            self._awaited = awaited
            return None
        return self._refuse(awaited)

    def _refuse(self, awaited: object) -> CallOutcome:
        """Fail at the place of the wait, even if the code catches the error."""
        assert self._code is not None
        error = not_a_task(awaited)
        if inspect.iscoroutine(awaited):
            awaited.close()
        with suppress(BaseException):  # the error itself, most often
            # Thrown in for the sake of the traceback, which then shows the line.
            self._context.run(self._code.throw, error)
        return Raised(error)


def _raised(error: BaseException) -> Raised:
    traceback = error.__traceback__
    if traceback is not None:
        # Without our own frame, which does not help users.
        error = error.with_traceback(traceback.tb_next)
    return Raised(needs_a_loop(error) or error)
