"""Orchestrators that only our SDK can run; their histories are in `histories/own/`.

`tests/replay/record_own.py` records them with our worker and sidecar, the tests replay the
recordings. Changing one makes its history foreign to it; record anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask import task

if TYPE_CHECKING:
    from collections.abc import Callable

SOON = timedelta(milliseconds=200)
NEVER = timedelta(hours=1)


@dataclass
class Parcel:
    weight: int


async def weigh(_ctx: task.ActivityContext, parcel: Parcel) -> int:
    return parcel.weight


def ping(_ctx: task.ActivityContext) -> str:
    return "pong"


def unreliable(_ctx: task.ActivityContext, _name: str) -> str:
    raise ConnectionError("nobody there")


async def awaits_in_turn(ctx: task.OrchestrationContext, weights: list[int]) -> int:
    total = 0
    for weight in weights:
        total += await ctx.call_activity(weigh, input=Parcel(weight))
    return total


async def awaits_together(ctx: task.OrchestrationContext, weights: list[int]) -> list[int]:
    nothing: list[int] = await task.when_all([])
    together = await task.when_all([ctx.call_activity(weigh, input=Parcel(w)) for w in weights])
    return nothing + together


async def without_input(ctx: task.OrchestrationContext) -> str:
    return await ctx.call_activity(ping)


async def awaits_children(ctx: task.OrchestrationContext, weights: list[int]) -> list[Any]:
    alone = ctx.call_sub_orchestrator(without_input)
    heavy = ctx.call_sub_orchestrator(awaits_in_turn, input=weights)
    return [await heavy, await alone]


async def event_with_timeout(ctx: task.OrchestrationContext, seconds: float) -> str:
    """The event counts if it is in time; too late it is kept for the next who asks."""
    try:
        answer = ctx.wait_for_external_event(
            "answer", data_type=str, timeout=timedelta(seconds=seconds)
        )
        return await answer
    except TimeoutError:
        await ctx.call_activity(ping)
        return f"late: {await ctx.wait_for_external_event('answer')}"


async def cleans_up(ctx: task.OrchestrationContext, name: str) -> str:
    """Retries until its patience, not its number of attempts, ends; then tidies."""
    policy = task.RetryPolicy(
        first_retry_interval=SOON,
        max_number_of_attempts=100,
        retry_timeout=timedelta(milliseconds=500),
    )
    try:
        return await ctx.call_activity(unreliable, input=name, retry_policy=policy)
    except task.TaskFailedError as error:
        return error.details.message
    finally:
        await ctx.call_activity(ping)


async def starts_over(ctx: task.OrchestrationContext, left: int) -> str | None:
    item = await ctx.wait_for_external_event("item", data_type=str)
    if left > 1:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return item


async def races(ctx: task.OrchestrationContext) -> str:
    first = await task.when_any([ctx.wait_for_external_event("go"), ctx.create_timer(NEVER)])
    return f"{first.get_result()} at {ctx.current_utc_datetime:%Y}, {len(ctx.new_uuid())}"


ACTIVITIES: list[Callable[..., Any]] = [weigh, ping, unreliable]
ORCHESTRATORS: list[Callable[..., Any]] = [
    awaits_children,
    awaits_in_turn,
    awaits_together,
    cleans_up,
    event_with_timeout,
    races,
    starts_over,
    without_input,
]
