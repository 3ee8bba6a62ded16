"""Groups of tasks are decided by their tasks, in whatever way these come to their end."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from durabletask.task import (
    CancellableTask,
    CompletableTask,
    TaskCancelledError,
    TaskFailedError,
    WhenAnyTask,
    when_all,
    when_any,
)


def pending(count: int) -> list[CompletableTask[Any]]:
    return [CompletableTask() for _ in range(count)]


def done(result: Any) -> CompletableTask[Any]:
    task: CompletableTask[Any] = CompletableTask()
    task.complete(result)
    return task


def failed(message: str) -> CompletableTask[Any]:
    task: CompletableTask[Any] = CompletableTask()
    task.fail(message, ValueError(message))
    return task


def test_all_results_come_in_the_order_of_the_tasks() -> None:
    first, second, third = tasks = pending(3)
    group = when_all(tasks)

    third.complete("c")
    first.complete("a")
    assert not group.is_complete
    assert (group.pending_tasks, group.get_completed_tasks()) == (1, 2)
    second.complete("b")

    assert group.get_result() == ["a", "b", "c"]


def test_all_of_nothing_is_complete() -> None:
    assert when_all([]).get_result() == []


def test_all_of_finished_tasks_is_complete() -> None:
    assert when_all([done(1), done(2)]).get_result() == [1, 2]


def test_all_waits_for_every_task_and_then_raises_the_first_failure_seen() -> None:
    first, second, third = tasks = pending(3)
    group = when_all(tasks)

    third.fail("third", ValueError())
    first.fail("first", ValueError())
    assert (group.is_complete, group.is_failed) == (False, False)
    second.complete(2)

    assert (group.is_complete, group.is_failed) == (True, True)
    with pytest.raises(TaskFailedError, match="third"):
        group.get_result()


def test_a_task_may_stand_in_a_group_twice() -> None:
    first, second = pending(2)
    group = when_all([first, second, first])

    first.complete(1)
    assert group.pending_tasks == 1
    second.complete(2)

    assert group.get_result() == [1, 2, 1]


def test_a_task_may_stand_in_several_groups() -> None:
    first, second = pending(2)
    everything, either = when_all([first, second]), when_any([first, second])

    first.complete(1)
    assert either.get_result() is first
    second.complete(2)

    assert everything.get_result() == [1, 2]


def test_a_cancelled_task_fails_its_group() -> None:
    task: CancellableTask[int] = CancellableTask()
    group = when_all([task, done(1)])

    task.cancel()

    with pytest.raises(TaskCancelledError):
        group.get_result()


def test_any_is_the_first_to_end() -> None:
    first, second = pending(2)
    group = when_any([first, second])

    second.complete("won")
    first.complete("lost")

    assert group.get_result() is second


def test_any_is_not_failed_by_the_task_that_failed() -> None:
    first, second = pending(2)
    group = when_any([first, second])

    first.fail("broken", ValueError())

    assert not group.is_failed
    assert group.get_result() is first


def test_any_of_tasks_that_ended_is_the_first_of_them() -> None:
    waiting, broken, finished = CompletableTask[Any](), failed("broken"), done(1)

    assert when_any([waiting, broken, finished]).get_result() is broken


def generator_of_nothing() -> Any:
    yield from ()


@pytest.mark.parametrize("nothing", [list, tuple, lambda: iter(()), generator_of_nothing])
@pytest.mark.parametrize("group", [when_any, WhenAnyTask])
def test_any_of_nothing_is_refused(group: Any, nothing: Any) -> None:
    with pytest.raises(ValueError, match="at least one task"):
        group(nothing())


async def helper() -> None: ...


def generator() -> Any:
    yield


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: 1, "1 (of type int)"),
        (lambda: None, "None"),
        (lambda: "x" * 1000, "..."),
        (helper, "the coroutine helper()"),
        (generator, "the generator generator()"),
    ],
)
@pytest.mark.parametrize("group", [when_all, when_any])
def test_what_is_no_task_is_refused_and_named(group: Any, make: Any, told: str) -> None:
    """Unclosed, the coroutine would warn here, which is an error in these tests."""
    with pytest.raises(TypeError, match=r"^when_a(ll|ny)\(\) .*ctx\.call_") as raised:
        group([done(1), make()])

    assert told in str(raised.value)
    assert len(str(raised.value)) < 500


def test_every_coroutine_of_a_refused_group_is_closed() -> None:
    coroutines = [helper(), helper()]

    with pytest.raises(TypeError, match="helper"):
        when_all(coroutines)  # type: ignore[arg-type]

    assert [inspect.getcoroutinestate(it) for it in coroutines] == ["CORO_CLOSED"] * 2


def test_a_group_may_be_made_of_any_iterable() -> None:
    first, second = pending(2)
    group = when_any(it for it in (first, second))

    second.complete(2)

    assert group.get_result() is second


def test_groups_of_groups() -> None:
    first, second, third = pending(3)
    group = when_all([when_any([first, second]), third])

    third.complete(3)
    second.complete(2)

    assert group.get_result() == [second, 3]


def test_changing_the_list_afterwards_changes_nothing() -> None:
    tasks = pending(2)
    group = when_all(tasks)

    tasks.clear()

    assert group.pending_tasks == 2
    assert len(group.get_tasks()) == 2
