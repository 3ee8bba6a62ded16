"""A task completes once and hands out what it completed with."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.failures import FailureDetails
from durabletask.task import (
    CancellableTask,
    CompletableTask,
    TaskCancelledError,
    TaskFailedError,
    TimerTask,
)


def test_a_new_task_is_neither_complete_nor_failed() -> None:
    task: CompletableTask[int] = CompletableTask()

    assert not task.is_complete
    assert not task.is_failed
    with pytest.raises(ValueError, match="The task has not completed"):
        task.get_result()
    with pytest.raises(ValueError, match="The task has not failed"):
        task.get_exception()


def test_a_completed_task_has_its_result() -> None:
    task: CompletableTask[int] = CompletableTask()

    task.complete(3)

    assert task.is_complete
    assert task.result == task.get_result() == 3
    with pytest.raises(ValueError, match="The task has not failed"):
        task.get_exception()


def test_a_failed_task_raises_with_the_details() -> None:
    task: CompletableTask[int] = CompletableTask()
    details = FailureDetails("broken", "builtins.ValueError", None)

    task.fail("it failed", details)

    assert task.is_failed
    with pytest.raises(TaskFailedError, match="it failed") as caught:
        task.get_result()
    assert caught.value is task.get_exception()
    assert caught.value.details == details


@pytest.mark.parametrize("first", ["complete", "fail"])
@pytest.mark.parametrize("second", ["complete", "fail"])
def test_a_task_completes_only_once(first: str, second: str) -> None:
    task: CompletableTask[int] = CompletableTask()
    settle = {
        "complete": lambda: task.complete(1),
        "fail": lambda: task.fail_with(KeyError("x")),
    }
    settle[first]()

    with pytest.raises(ValueError, match="already completed"):
        settle[second]()


def test_cancelling_ends_the_wait_with_an_error() -> None:
    task: CancellableTask[int] = CancellableTask()
    calls: list[str] = []
    task.set_cancel_handler(lambda: calls.append("cancelled"))

    assert task.cancel()

    assert task.is_cancelled
    assert task.is_complete
    assert calls == ["cancelled"]
    with pytest.raises(TaskCancelledError):
        task.get_result()


def test_a_complete_task_cannot_be_cancelled() -> None:
    task = TimerTask()
    task.complete(None)

    assert not task.cancel()

    assert not task.is_cancelled
    assert task.get_result() is None


def test_awaiting_hands_over_the_task_and_takes_the_result() -> None:
    task: CompletableTask[int] = CompletableTask()

    async def waits() -> int:
        return await task + 1

    steps: Any = waits()

    assert steps.send(None) is task
    with pytest.raises(StopIteration) as stop:
        steps.send(41)
    assert stop.value.value == 42
