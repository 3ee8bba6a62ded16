"""Tasks that consist of other tasks: `when_all` and `when_any`.

A task may be in a group several times, and in several groups. A group of tasks that are
complete already may be complete from the start.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from durabletask.failures import TaskCancelledError
from durabletask.task.non_task_errors import not_in_a_group
from durabletask.task.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")


class CompositeTask(Task[T]):
    """A task whose result depends on other tasks."""

    __module__ = "durabletask.task"
    __slots__ = ("_tasks",)

    # The function that creates it; error texts name it.
    _made_by: ClassVar[str] = "CompositeTask"

    def __init__(self, tasks: Iterable[Task[Any]]) -> None:
        super().__init__()
        self._tasks = list(tasks)
        # Check all first: no task may get a parent whose construction failed.
        _check(self._made_by, self._tasks)
        for task in self._tasks:
            task.add_parent(self)

    def get_tasks(self) -> list[Task[Any]]:
        """The tasks of the group, in the order they were given."""
        return self._tasks

    @abstractmethod
    def on_child_completed(self, task: Task[Any]) -> None:
        """Called once for each time that the completed task is in the group."""


class WhenAllTask(CompositeTask[list[T]]):
    """Completes when every task is complete; fails with the first failure that occurred."""

    __module__ = "durabletask.task"
    __slots__ = ("_completed_tasks", "_first_failure")
    _made_by = "when_all"

    def __init__(self, tasks: Iterable[Task[T]]) -> None:
        self._completed_tasks = 0
        self._first_failure: BaseException | None = None
        super().__init__(tasks)
        if not self._tasks:
            self._settle([], None)

    @property
    def pending_tasks(self) -> int:
        """How many tasks have not completed."""
        return len(self._tasks) - self._completed_tasks

    def get_completed_tasks(self) -> int:
        """How many tasks have completed or failed."""
        return self._completed_tasks

    def on_child_completed(self, task: Task[Any]) -> None:
        self._completed_tasks += 1
        if self._first_failure is None:
            self._first_failure = _failure(task)
        if self._completed_tasks < len(self._tasks):
            return
        # Failing earlier would leave tasks running whose results are lost.
        if self._first_failure is not None:
            self._settle(None, self._first_failure)
        else:
            self._settle([task.get_result() for task in self._tasks], None)


class WhenAnyTask(CompositeTask[Task[T]], Generic[T]):
    """Completes when one task is complete; the result is that task, failed or not."""

    __module__ = "durabletask.task"
    __slots__ = ()
    _made_by = "when_any"

    def __init__(self, tasks: Iterable[Task[T]]) -> None:
        super().__init__(tasks)
        if not self._tasks:
            raise ValueError(
                "when_any() needs at least one task: without any it would never complete."
            )

    def on_child_completed(self, task: Task[Any]) -> None:
        if not self._is_complete:
            self._settle(task, None)


def when_all(tasks: Iterable[Task[T]]) -> WhenAllTask[T]:
    """Wait for every task; the results come in the order of the tasks.

    With no tasks it is complete at once, with `[]`. If tasks fail, all are waited for, and then
    the first failure that occurred is raised.

    Example:
        totals = await when_all([ctx.call_activity(total, input=day) for day in days])
    """
    return WhenAllTask(tasks)


def when_any(tasks: Iterable[Task[T]]) -> WhenAnyTask[T]:
    """Wait for the first task to complete or fail; the result is that task.

    The others go on. ValueError for no tasks.

    Example:
        approval = ctx.wait_for_external_event("approval", data_type=str)
        winner = await when_any([approval, ctx.create_timer(timedelta(days=1))])
        if winner is approval: ...
    """
    return WhenAnyTask(tasks)


def _check(made_by: str, members: Sequence[object]) -> None:
    strangers = [member for member in members if not isinstance(member, Task)]
    for stranger in strangers:
        if inspect.iscoroutine(stranger):
            # Else Python would warn later that it was never awaited.
            stranger.close()
    if strangers:
        raise not_in_a_group(made_by, strangers[0])


def _failure(task: Task[Any]) -> BaseException | None:
    if task.is_failed:
        return task.get_exception()
    if getattr(task, "is_cancelled", False):
        return TaskCancelledError("A task of the group was cancelled.")
    return None
