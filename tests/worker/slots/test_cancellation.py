"""User code that cancels the task it runs in."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.slots import SlotsHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


async def swallow(token: str) -> None:
    """Leave the task cancelled, and the cancellation to the next who waits."""
    current_task().cancel()


async def endure(token: str) -> None:
    """Leave the task counted as cancelled, and raise nothing."""
    current_task().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def give_in(token: str) -> None:
    """Cancel the task and let that through."""
    current_task().cancel()
    await asyncio.sleep(0)


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.mark.parametrize(
    ("cancel_itself", "answered"),
    [
        (swallow, "CompleteActivityTask"),
        (endure, "CompleteActivityTask"),
        (give_in, "AbandonTaskActivityWorkItem"),
    ],
)
async def test_work_that_cancels_itself_is_completed_and_frees_its_slot(
    harness: SlotsHarness, cancel_itself: Callable[[str], Coroutine[Any, Any, Any]], answered: str
) -> None:
    harness.handler.on_loop = cancel_itself

    await harness.put(*(f"a{n}" for n in range(4)))
    await harness.idle()

    assert sorted(harness.completions) == [(answered, f"a{n}") for n in range(4)]


async def test_the_task_that_delivers_is_not_the_one_user_code_cancelled() -> None:
    counts: list[int] = []

    class Counting(SlotsHarness):
        async def deliver(self, *_: object) -> None:
            await asyncio.sleep(0)
            counts.append(current_task().cancelling())

    harness = Counting()
    harness.handler.on_loop = endure

    await harness.put("a")
    await harness.idle()

    assert counts == [0]
    harness.slots.close()
