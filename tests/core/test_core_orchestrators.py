"""Plain functions, generators and coroutines are orchestrators, with and without an input."""

from __future__ import annotations

import contextvars
import functools
import logging
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durabletask.core.settings import Settings
from durabletask.protocol import events
from durabletask.task import (
    ActivityContext,
    OrchestrationContext,
    Task,
    TaskFailedError,
    when_all,
    when_any,
)
from tests.builders.core import ID, START, FakeEngine, beginning, failure, kinds, machine_for

Steps = Generator[Task[Any], Any, Any]


def hello(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


async def hello_async(_ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def chain(ctx: OrchestrationContext, names: list[str]) -> Steps:
    greetings = []
    for name in names:
        greetings.append((yield ctx.call_activity(hello, input=name)))  # noqa: PERF401  # yields
    return greetings


async def chain_async(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    return [await ctx.call_activity(hello_async, input=name) for name in names]


@pytest.mark.parametrize("orchestrator", [chain, chain_async])
def test_a_chain_asks_for_one_step_after_the_other(orchestrator: Any) -> None:
    instance = FakeEngine(orchestrator, activities=[hello, hello_async]).run(
        orchestrator, ["Ada", "Alan"]
    )

    assert instance.output == '["Hello Ada!", "Hello Alan!"]'
    assert instance.asked() == [
        (1, "schedule_task"),
        (2, "schedule_task"),
        (3, "complete_orchestration"),
    ]


def test_fan_out_asks_for_everything_in_one_turn() -> None:
    async def fan_out(ctx: OrchestrationContext, count: int) -> list[str]:
        return await when_all([ctx.call_activity(hello, input=str(n)) for n in range(count)])

    instance = FakeEngine(fan_out, activities=[hello]).run(fan_out, 3)

    assert instance.output == '["Hello 0!", "Hello 1!", "Hello 2!"]'
    assert kinds(instance.decisions[0]) == ["schedule_task"] * 3


def test_a_plain_function_completes_at_once() -> None:
    def plain(_ctx: OrchestrationContext, value: int) -> int:
        return value + 1

    assert FakeEngine(plain).run(plain, 1).output == "2"


def test_the_input_may_be_left_out() -> None:
    def alone(ctx: OrchestrationContext) -> str:
        return ctx.instance_id

    assert FakeEngine(alone).run(alone, "ignored").output == f'"{ID}"'


def test_a_partial_is_an_orchestrator() -> None:
    def flow(prefix: str, _ctx: OrchestrationContext, name: str) -> str:
        return prefix + name

    hub = FakeEngine()
    hub.registry.add_orchestrator(functools.partial(flow, "Dr. "))

    assert hub.run("flow", "Who").output == '"Dr. Who"'


@dataclass
class Order:
    item: str


def test_the_input_comes_as_the_annotated_type() -> None:
    def item(_ctx: OrchestrationContext, order: Order) -> str:
        return order.item

    assert FakeEngine(item).run(item, Order("tea")).output == '"tea"'


def test_a_result_comes_as_the_activity_says_or_as_asked() -> None:
    def place(_ctx: ActivityContext) -> Order:
        return Order("tea")

    def order(ctx: OrchestrationContext) -> Steps:
        by_function = yield ctx.call_activity(place)
        by_name = yield ctx.call_activity("place")
        asked_for = yield ctx.call_activity("place", return_type=Order)
        return [by_function.item, by_name["item"], asked_for.item]

    assert FakeEngine(order, activities=[place]).run(order).output == '["tea", "tea", "tea"]'


def test_a_task_may_be_waited_for_twice_and_when_it_is_complete() -> None:
    async def twice(ctx: OrchestrationContext) -> list[str]:
        task = ctx.call_activity(hello, input="Ada")
        return [await task, await task]

    assert FakeEngine(twice, activities=[hello]).run(twice).output == '["Hello Ada!", "Hello Ada!"]'


def test_a_first_wait_for_a_complete_task_goes_on() -> None:
    def first(ctx: OrchestrationContext) -> Steps:
        timer = ctx.create_timer(timedelta(days=1))
        timer.cancel()
        winner = yield when_any([timer])
        return winner is timer

    assert FakeEngine(first).run(first).output == "true"


def test_waiting_for_all_of_nothing_goes_on() -> None:
    def nothing(_ctx: OrchestrationContext) -> Steps:
        return (yield when_all([]))

    assert FakeEngine(nothing).run(nothing).output == "[]"


def test_waiting_for_any_of_nothing_is_an_error_in_the_orchestrator() -> None:
    def nothing(_ctx: OrchestrationContext) -> Steps:
        yield when_any([])

    instance = FakeEngine(nothing).run(nothing)

    assert instance.failure is not None
    assert instance.failure.error_type == "builtins.ValueError"


def test_a_failing_activity_can_be_handled() -> None:
    def broken(_ctx: ActivityContext) -> None:
        raise LookupError("no such order")

    def careful(ctx: OrchestrationContext) -> Steps:
        try:
            yield ctx.call_activity(broken)
        except TaskFailedError as error:
            return [str(error), error.details.error_type, error.details.is_caused_by(LookupError)]

    assert FakeEngine(careful, activities=[broken]).run(careful).output == (
        f'["{ID}: Activity task #1 failed: no such order", "builtins.LookupError", true]'
    )


def test_an_unhandled_failure_keeps_the_original_inside() -> None:
    def broken(_ctx: ActivityContext) -> None:
        raise LookupError("no such order")

    async def careless(ctx: OrchestrationContext) -> None:
        await ctx.call_activity(broken)

    instance = FakeEngine(careless, activities=[broken]).run(careless)

    assert instance.status == "FAILED"
    assert instance.failure is not None
    assert instance.failure.error_type == "durabletask.task.TaskFailedError"
    assert instance.failure.message == f"{ID}: Activity task #1 failed: no such order"
    assert instance.failure.inner_failure is not None
    assert instance.failure.inner_failure.error_type == "builtins.LookupError"


def raises(_ctx: OrchestrationContext) -> None:
    raise LookupError


def waits(ctx: OrchestrationContext) -> Steps:
    yield ctx.call_activity("missing")


@pytest.mark.parametrize("function", [raises, waits])
def test_a_stack_trace_shows_the_users_code_only(function: Any) -> None:
    instance = FakeEngine(function).run(function)

    assert instance.failure is not None
    assert instance.failure.stack_trace is not None
    assert f"in {function.__name__}" in instance.failure.stack_trace
    assert "durabletask" not in instance.failure.stack_trace


def test_an_unreadable_result_fails_the_wait_for_it() -> None:
    async def careful(ctx: OrchestrationContext) -> str:
        try:
            await ctx.call_activity("step")
        except ValueError:
            return "unreadable"
        return "readable"

    machine = machine_for(careful)
    machine.turn(beginning("careful"))

    decision = machine.turn([events.task_completed(1, "{not json", at=START)])

    assert decision.actions[-1].complete_orchestration is not None
    assert decision.actions[-1].complete_orchestration.result == '"unreadable"'


def test_an_input_that_is_not_json_raises_where_it_is_given_even_on_replay() -> None:
    def careful(ctx: OrchestrationContext) -> Steps:
        try:
            yield ctx.call_activity("never", input={1, 2})
        except TypeError:
            yield ctx.call_activity(hello, input="instead")
        return (yield ctx.call_activity(hello, input="again"))

    instance = FakeEngine(careful, activities=[hello]).run(careful)

    assert instance.output == '"Hello again!"'
    assert instance.asked()[0] == (2, "schedule_task")


def test_an_input_is_sent_as_it_was_at_the_call() -> None:
    def total(_ctx: ActivityContext, numbers: list[int]) -> int:
        return sum(numbers)

    async def adds(ctx: OrchestrationContext) -> list[int]:
        numbers = [1]
        first = ctx.call_activity(total, input=numbers)
        numbers.append(2)
        return [await first, await ctx.call_activity(total, input=numbers)]

    assert FakeEngine(adds, activities=[total]).run(adds).output == "[1, 3]"


def test_what_is_not_waited_for_is_still_asked_for() -> None:
    def forgetful(ctx: OrchestrationContext) -> str:
        ctx.call_activity(hello, input="Ada")
        return "done"

    instance = FakeEngine(forgetful, activities=[hello]).run(forgetful)

    assert instance.asked() == [(1, "schedule_task"), (2, "complete_orchestration")]


def test_a_context_variable_stays_within_its_instance() -> None:
    current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="nobody")

    async def sets(ctx: OrchestrationContext) -> str:
        before = current.get()
        current.set("sets")
        await ctx.call_activity(hello, input="Ada")
        return f"{before}, then {current.get()}"

    instance = FakeEngine(sets, activities=[hello]).run(sets)

    assert instance.output == '"nobody, then sets"'
    assert current.get() == "nobody"


def test_a_replay_safe_logger_says_everything_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def talks(ctx: OrchestrationContext) -> Steps:
        logger = ctx.create_replay_safe_logger(logging.getLogger("talks"))
        logger.info("before")
        yield ctx.call_activity(hello, input="Ada")
        logger.info("between")
        yield ctx.call_activity(hello, input="Ada")
        logger.info("after")

    FakeEngine(talks, activities=[hello], sessions="cold").run(talks)

    assert caplog.messages == ["before", "between", "after"]


def test_the_custom_status_is_what_was_set_last() -> None:
    async def reports(ctx: OrchestrationContext) -> None:
        ctx.set_custom_status({"done": 0})
        await ctx.call_activity(hello, input="Ada")
        await ctx.call_activity(hello, input="Ada")
        ctx.set_custom_status(None)

    instance = FakeEngine(reports, activities=[hello]).run(reports)

    assert [it.custom_status for it in instance.decisions] == ['{"done": 0}'] * 2 + [None]


def test_the_context_knows_its_version_and_parent() -> None:
    def child(ctx: OrchestrationContext) -> list[str | None]:
        return [ctx.parent_instance_id, ctx.instance_id]

    async def parent(ctx: OrchestrationContext) -> list[Any]:
        return [ctx.parent_instance_id, await ctx.call_sub_orchestrator(child)]

    assert FakeEngine(parent, child).run(parent).output == f'[null, ["{ID}", "{ID}:0001"]]'

    def versioned(ctx: OrchestrationContext) -> str | None:
        return ctx.version

    machine = machine_for(versioned)
    decision = machine.turn(
        [events.execution_started("versioned", instance_id=ID, version="2.1", at=START)]
    )
    assert decision.actions[0].complete_orchestration is not None
    assert decision.actions[0].complete_orchestration.result == '"2.1"'


def test_children_are_numbered_named_and_versioned() -> None:
    def parent(ctx: OrchestrationContext) -> None:
        ctx.call_sub_orchestrator("child", input=1)
        ctx.call_sub_orchestrator("child", instance_id="mine", version="2")

    machine = machine_for(parent, settings=Settings(default_version="1"))
    decision = machine.turn(beginning("parent"))

    first, second = (it.create_sub_orchestration for it in decision.actions[:2])
    assert first is not None
    assert (first.instance_id, first.version, first.input) == (f"{ID}:0001", "1", "1")
    assert second is not None
    assert (second.instance_id, second.version, second.input) == ("mine", "2", None)


def test_a_failing_child_fails_the_wait_for_it() -> None:
    def child(_ctx: OrchestrationContext) -> None:
        raise LookupError("lost")

    async def parent(ctx: OrchestrationContext) -> str:
        try:
            await ctx.call_sub_orchestrator(child)
        except TaskFailedError as error:
            return str(error)
        return "nothing failed"

    assert (
        FakeEngine(parent, child).run(parent).output == '"Sub-orchestration task #1 failed: lost"'
    )


def test_a_child_that_tells_nothing_about_its_end_still_fails() -> None:
    async def parent(ctx: OrchestrationContext) -> None:
        await ctx.call_sub_orchestrator("child")

    machine = machine_for(parent)
    machine.turn(beginning("parent"))
    event = events.sub_orchestration_instance_failed(1, failure())
    assert event.sub_orchestration_instance_failed is not None
    event.sub_orchestration_instance_failed.failure_details = None

    decision = machine.turn([event])

    complete = decision.actions[-1].complete_orchestration
    assert complete is not None
    assert complete.failure_details is not None
    assert "may have been terminated" in complete.failure_details.error_message


def test_tags_travel_with_the_activity() -> None:
    def tagged(ctx: OrchestrationContext) -> None:
        ctx.call_activity("step", tags={"team": "tea"})

    decision = machine_for(tagged).turn(beginning("tagged"))

    assert decision.actions[0].schedule_task is not None
    assert decision.actions[0].schedule_task.tags == {"team": "tea"}
