"""Waiting for what only an event loop could bring fails at once and says what to write."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.task import when_any
from tests.builders.core import FakeEngine, beginning, kinds, machine_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from durabletask.failures import FailureDetails
    from durabletask.task import OrchestrationContext


def failure_of(orchestrator: Any) -> FailureDetails:
    # Run once only: texts may hold addresses, and a future can be awaited but once.
    failure = FakeEngine(orchestrator, sessions="warm").run(orchestrator).failure
    assert failure is not None
    return failure


async def sleeps(_ctx: OrchestrationContext) -> None:
    await asyncio.sleep(1)


async def yields_to_the_loop(_ctx: OrchestrationContext) -> None:
    await asyncio.sleep(0)


async def limits(ctx: OrchestrationContext) -> None:
    async with asyncio.timeout(1):
        await ctx.create_timer(timedelta(1))


async def uses_a_thread(_ctx: OrchestrationContext) -> None:
    await asyncio.to_thread(print)


async def asks_for_the_loop(_ctx: OrchestrationContext) -> None:
    asyncio.get_running_loop()


@pytest.mark.parametrize(
    "orchestrator", [sleeps, yields_to_the_loop, limits, uses_a_thread, asks_for_the_loop]
)
def test_asyncio_is_answered_with_the_calls_to_use(orchestrator: Any) -> None:
    failure = failure_of(orchestrator)

    assert failure.error_type == "builtins.TypeError"
    for call in ("ctx.create_timer", "task.when_all", "ctx.call_activity"):
        assert call in failure.message


async def test_a_future_of_a_running_loop_is_refused_too() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits(_ctx: OrchestrationContext) -> None:
        await future

    failure = failure_of(waits)

    assert "Future" in failure.message
    assert "ctx.create_timer" in failure.message


async def test_sleeping_beside_a_running_loop_is_refused_too() -> None:
    failure = failure_of(sleeps)

    assert "ctx.create_timer" in failure.message


async def helper() -> None: ...


def generator() -> Generator[Any, Any, None]:
    yield


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: 42, "42 (of type int)"),
        (lambda: None, "create_timer"),
        (helper, "coroutine helper()"),
        (generator, "yield from"),
        (lambda: [1, 2], "task.when_all"),
        (lambda: "x" * 1000, "..."),
        (object, "of type object"),
    ],
)
@pytest.mark.parametrize("position", ["first", "later"])
def test_yielding_something_else_names_it(make: Any, advice: str, position: str) -> None:
    def yields(ctx: OrchestrationContext) -> Generator[Any, Any, None]:
        if position == "later":
            timer = ctx.create_timer(timedelta(1))
            timer.cancel()
            yield when_any([timer])
        yield make()

    failure = failure_of(yields)

    assert failure.error_type == "builtins.TypeError"
    assert failure.message.startswith("The orchestrator yielded a non-Task object")
    assert advice in failure.message
    assert len(failure.message) < 800
    assert "in yields" in (failure.stack_trace or "")


class Unprintable:
    def __repr__(self) -> str:
        raise LookupError


def test_something_that_cannot_be_shown_is_refused_all_the_same() -> None:
    def yields(_ctx: OrchestrationContext) -> Generator[Any, Any, None]:
        yield Unprintable()

    assert "of type Unprintable" in failure_of(yields).message


def test_an_async_generator_is_no_orchestrator() -> None:
    async def yields(_ctx: OrchestrationContext) -> AsyncGenerator[int, None]:
        yield 1

    assert "async_generator" in failure_of(yields).message


def test_catching_the_error_does_not_help() -> None:
    def insists(_ctx: OrchestrationContext) -> Generator[Any, Any, str]:
        while True:
            try:
                yield 42
            except TypeError:
                continue

    decision = machine_for(insists).turn(beginning("insists"))

    assert decision.ended
    assert kinds(decision) == ["complete_orchestration"]


def test_a_runtime_error_of_ones_own_is_left_alone() -> None:
    def fails(_ctx: OrchestrationContext) -> None:
        raise RuntimeError("no such thing")

    failure = failure_of(fails)

    assert (failure.error_type, failure.message) == ("builtins.RuntimeError", "no such thing")
