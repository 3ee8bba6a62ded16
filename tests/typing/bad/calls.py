"""Mistakes that a type checker must report, each on its marked line."""

from __future__ import annotations

from durabletask.task import ActivityContext, OrchestrationContext, when_all


def greet(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def three(_ctx: ActivityContext, first: int, second: int) -> int:
    return first + second


async def child(_ctx: OrchestrationContext, count: int) -> int:
    return count


async def wrong_input(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(greet, input=42)  # expect-error


async def wrong_child_input(ctx: OrchestrationContext) -> None:
    await ctx.call_sub_orchestrator(child, input="many")  # expect-error


async def wrong_result(ctx: OrchestrationContext) -> int:
    return await ctx.call_activity(greet, input="x")  # expect-error


async def two_inputs(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(three, input=1)  # expect-error


async def positional_input(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(greet, "x")  # expect-error


async def no_activity(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(42)  # expect-error


async def results_of_strings(ctx: OrchestrationContext) -> list[int]:
    tasks = [ctx.call_activity(greet, input="x")]
    return await when_all(tasks)  # expect-error


async def timer_in_seconds(ctx: OrchestrationContext) -> None:
    await ctx.create_timer(5)  # expect-error


async def child_as_activity(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(child, input=1)  # expect-error


async def awaited_for_nothing(ctx: OrchestrationContext) -> None:
    await ctx.send_event("other", "go")  # expect-error
