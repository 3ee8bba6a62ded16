"""Results of calls are as precise as the functions that are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

from durabletask.task import (
    ActivityContext,
    CompletableTask,
    OrchestrationContext,
    RetryPolicy,
    Task,
)

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass
class Receipt:
    total: int


def greet(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


async def greet_async(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def now(_ctx: ActivityContext) -> float:
    return 0.0


async def now_async(_ctx: ActivityContext) -> float:
    return 0.0


def optional(_ctx: ActivityContext, count: int = 3) -> list[int]:
    return list(range(count))


def gen_child(ctx: OrchestrationContext, order: Receipt) -> Generator[Task[float], float, int]:
    yield ctx.call_activity(now)
    return order.total


def gen_child_alone(ctx: OrchestrationContext) -> Generator[Task[float], float, int]:
    return round((yield ctx.call_activity(now)))


async def child(_ctx: OrchestrationContext, order: Receipt) -> Receipt:
    return order


async def child_alone(_ctx: OrchestrationContext) -> Receipt:
    return Receipt(1)


def plain_child(_ctx: OrchestrationContext, order: Receipt) -> bool:
    return order.total > 0


def plain_child_alone(_ctx: OrchestrationContext) -> bool:
    return True


async def activities(ctx: OrchestrationContext, policy: RetryPolicy) -> None:
    assert_type(await ctx.call_activity(greet, input="x"), str)
    assert_type(await ctx.call_activity(greet_async, input="x"), str)
    assert_type(await ctx.call_activity(greet), str)
    assert_type(await ctx.call_activity(greet_async), str)
    assert_type(await ctx.call_activity(now), float)
    assert_type(await ctx.call_activity(now_async), float)
    assert_type(await ctx.call_activity(optional), list[int])
    assert_type(await ctx.call_activity(optional, input=4), list[int])
    assert_type(await ctx.call_activity("greet", input="x"), Any)
    assert_type(await ctx.call_activity("charge", return_type=Receipt), Receipt)
    assert_type(await ctx.call_activity(greet, input="x", return_type=Receipt), Receipt)
    assert_type(
        ctx.call_activity(greet, input="x", retry_policy=policy, tags={"a": "b"}),
        CompletableTask[str],
    )


async def children(ctx: OrchestrationContext, order: Receipt) -> None:
    assert_type(await ctx.call_sub_orchestrator(gen_child, input=order), int)
    assert_type(await ctx.call_sub_orchestrator(gen_child_alone), int)
    assert_type(await ctx.call_sub_orchestrator(child, input=order), Receipt)
    assert_type(await ctx.call_sub_orchestrator(child_alone), Receipt)
    assert_type(await ctx.call_sub_orchestrator(plain_child, input=order), bool)
    assert_type(await ctx.call_sub_orchestrator(plain_child_alone, instance_id="x"), bool)
    assert_type(await ctx.call_sub_orchestrator("child", version="2"), Any)
    assert_type(await ctx.call_sub_orchestrator("child", return_type=Receipt), Receipt)
