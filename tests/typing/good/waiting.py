"""Groups, events and timers keep the types of what they wait for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_type

from durabletask.task import (
    ActivityContext,
    CancellableTask,
    OrchestrationContext,
    Orchestrator,
    Task,
    TimerTask,
    WhenAllTask,
    WhenAnyTask,
    when_all,
    when_any,
)

if TYPE_CHECKING:
    from collections.abc import Generator


def square(_ctx: ActivityContext, number: int) -> int:
    return number * number


async def fan_out(ctx: OrchestrationContext, count: int) -> int:
    tasks = [ctx.call_activity(square, input=number) for number in range(count)]
    assert_type(when_all(tasks), WhenAllTask[int])
    assert_type(await when_all(tasks), list[int])
    assert_type(when_any(tasks), WhenAnyTask[int])
    winner = await when_any(tasks)
    assert_type(winner, Task[int])
    assert_type(winner.get_result(), int)
    return sum(await when_all(tasks))


async def race(ctx: OrchestrationContext) -> str | None:
    approval = ctx.wait_for_external_event("approval", data_type=str)
    deadline = ctx.create_timer(timedelta(days=1))
    assert_type(approval, CancellableTask[str])
    assert_type(deadline, TimerTask)
    winner = await when_any([approval, deadline])
    if winner is approval:
        return approval.get_result()
    approval.cancel()
    return None


async def events(ctx: OrchestrationContext) -> None:
    assert_type(await ctx.wait_for_external_event("any"), Any)
    assert_type(await ctx.wait_for_external_event("n", data_type=int), int)
    assert_type(
        await ctx.wait_for_external_event("n", data_type=int, timeout=timedelta(minutes=1)), int
    )
    await ctx.create_timer(datetime(2030, 1, 1))
    assert_type(ctx.current_utc_datetime, datetime)
    assert_type(ctx.new_uuid(), str)


def generator(ctx: OrchestrationContext, names: list[str]) -> Generator[Task[Any], Any, list[str]]:
    greetings: list[str] = yield when_all([ctx.call_activity("greet", input=n) for n in names])
    return greetings


registered: Orchestrator[list[str], list[str]] = generator
