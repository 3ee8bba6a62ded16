"""Step an orchestrator until it waits.

A plain function is done when it has been called. A generator yields the tasks it waits for,
and so does an `async def`: awaiting a task yields it. A coroutine is stepped by `send` just
like a generator; no event loop is involved.

User code runs in a `contextvars` context of this orchestration's own, or one instance's
variables would leak into the next on the same thread.

Knows nothing about history, actions or why tasks complete.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeAlias

from durabletask.core.outcome import Outcome, Raised, Returned
from durabletask.task import Task
from durabletask.task.foreign import needs_a_loop, not_a_task

Steps: TypeAlias = Generator[Any, Any, Any] | Coroutine[Any, Any, Any]

# Code may refuse to be closed by waiting again in a `finally`; each refusal ends one of them.
_MOST_REFUSALS = 100


class Driver:
    """One run of one orchestrator."""

    __slots__ = ("_context", "_steps", "_waiting_for")

    def __init__(self) -> None:
        self._context = Context()
        self._steps: Steps | None = None
        self._waiting_for: Task[Any] | None = None

    def start(self, call: Callable[[], Any]) -> Outcome | None:
        """Call the orchestrator and run it to its first wait; the outcome if there is none."""
        try:
            result = self._context.run(call)
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            return _raised(error)
        if inspect.isasyncgen(result):
            return Raised(not_a_task(result))
        if not (inspect.isgenerator(result) or inspect.iscoroutine(result)):
            return Returned(result)
        self._steps = result
        return self._run(result.send, None)

    @property
    def is_ready(self) -> bool:
        """Whether what the orchestrator waits for is there."""
        return self._waiting_for is not None and self._waiting_for.is_complete

    def step(self) -> Outcome | None:
        """Go on from a wait that is over to the next; the outcome if there is none."""
        task, self._waiting_for = self._waiting_for, None
        assert task is not None
        assert self._steps is not None
        try:
            result = task.get_result()
        except BaseException as failure:  # noqa: BLE001  # the waiting code's to handle
            # Where the task failed is in its details; our own frames tell users nothing.
            error = failure.with_traceback(None)
        else:
            return self._run(self._steps.send, result)
        # Not inside `except`, or the error would become its own context.
        return self._run(self._steps.throw, error)

    def close(self) -> None:
        """Run the `finally` blocks of code that still waits; never raises."""
        steps, self._steps, self._waiting_for = self._steps, None, None
        if steps is None:
            return
        for _ in range(_MOST_REFUSALS):
            try:
                self._context.run(steps.close)
            except RuntimeError:
                # It may have waited again instead of ending: closing goes on from there, and
                # does nothing if it has ended.
                continue
            except BaseException:  # noqa: BLE001  # nobody is left to report it to
                return
            else:
                return

    def _run(self, resume: Callable[[Any], Any], value: Any) -> Outcome | None:
        try:
            waited_for = self._context.run(resume, value)
        except StopIteration as stop:
            self._steps = None
            return Returned(stop.value)
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            self._steps = None
            return _raised(error)
        if isinstance(waited_for, Task):
            self._waiting_for = waited_for
            return None
        return self._refuse(waited_for)

    def _refuse(self, waited_for: object) -> Outcome:
        """Fail at the place of the wait. Whatever the code makes of that, it has failed."""
        assert self._steps is not None
        error = not_a_task(waited_for)
        if inspect.iscoroutine(waited_for):
            waited_for.close()
        with suppress(BaseException):  # the error itself, most often
            # Thrown in for the sake of the traceback, which then shows the line.
            self._context.run(self._steps.throw, error)
        return Raised(error)


def _raised(error: BaseException) -> Raised:
    traceback = error.__traceback__
    if traceback is not None:
        # Without our own frame, which tells users nothing.
        error = error.with_traceback(traceback.tb_next)
    return Raised(needs_a_loop(error) or error)
