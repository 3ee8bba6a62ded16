"""The patterns that people write, end to end: client, sidecar on SQLite, worker."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus

if TYPE_CHECKING:
    from tests.e2e.conftest import Harness

Steps = Generator[task.Task[Any], Any, Any]


def hello(_ctx: task.ActivityContext, name: str) -> str:
    return f"Hello {name}!"


async def hello_async(_ctx: task.ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def chain(ctx: task.OrchestrationContext, names: list[str]) -> Steps:
    greetings = []
    for name in names:
        greeting = yield ctx.call_activity(hello, input=name)
        greetings.append(greeting)
    return greetings


async def chain_async(ctx: task.OrchestrationContext, names: list[str]) -> list[str]:
    return [await ctx.call_activity(hello_async, input=name) for name in names]


def plain(_ctx: task.OrchestrationContext) -> str:
    return "done at once"


@pytest.mark.parametrize("orchestrator", [chain, chain_async])
def test_a_chain_returns_its_results_in_order(harness: Harness, orchestrator: Any) -> None:
    harness.host(orchestrator, activities=(hello, hello_async))

    state = harness.run(orchestrator, input=["Tokyo", "Seattle", "London"])

    assert state.serialized_output == '["Hello Tokyo!", "Hello Seattle!", "Hello London!"]'


def test_a_plain_function_is_an_orchestrator(harness: Harness) -> None:
    harness.host(plain)

    assert harness.run(plain).get_output() == "done at once"


def test_fan_out_keeps_the_order_of_its_tasks(harness: Harness) -> None:
    def square(_ctx: task.ActivityContext, number: int) -> int:
        return number * number

    async def squares(ctx: task.OrchestrationContext, count: int) -> list[int]:
        return await task.when_all([ctx.call_activity(square, input=n) for n in range(count)])

    harness.host(squares, activities=(square,))

    assert harness.run(squares, input=40).get_output() == [n * n for n in range(40)]


def test_a_parent_gets_the_results_of_its_children(harness: Harness) -> None:
    async def parent(ctx: task.OrchestrationContext) -> list[list[str]]:
        children = [ctx.call_sub_orchestrator(chain_async, input=[n]) for n in ("Ada", "Alan")]
        return await task.when_all(children)

    harness.host(parent, chain_async, activities=(hello_async,))

    assert harness.run(parent).get_output() == [["Hello Ada!"], ["Hello Alan!"]]


def test_a_timer_fires(harness: Harness) -> None:
    async def nap(ctx: task.OrchestrationContext) -> float:
        before = ctx.current_utc_datetime
        await ctx.create_timer(timedelta(milliseconds=50))
        return (ctx.current_utc_datetime - before).total_seconds()

    harness.host(nap)

    assert harness.run(nap).get_output() >= 0.05


def test_events_arrive_in_order_whatever_their_case(harness: Harness) -> None:
    async def collect(ctx: task.OrchestrationContext) -> list[int]:
        return [await ctx.wait_for_external_event("Number", data_type=int) for _ in range(3)]

    harness.host(collect)

    instance_id = harness.start(collect)
    for number, name in enumerate(("number", "NUMBER", "Number")):
        harness.client.raise_orchestration_event(instance_id, name, data=number)

    assert harness.wait(instance_id).get_output() == [0, 1, 2]


def test_an_event_that_never_comes_times_out(harness: Harness) -> None:
    async def impatient(ctx: task.OrchestrationContext) -> str:
        try:
            await ctx.wait_for_external_event("approval", timeout=timedelta(milliseconds=20))
        except TimeoutError:
            return "nobody came"
        return "somebody came"

    harness.host(impatient)

    assert harness.run(impatient).get_output() == "nobody came"


def test_the_first_of_an_event_and_a_timer_wins(harness: Harness) -> None:
    async def race(ctx: task.OrchestrationContext) -> str:
        approval = ctx.wait_for_external_event("approval", data_type=str)
        winner = await task.when_any([approval, ctx.create_timer(timedelta(hours=1))])
        return approval.get_result() if winner is approval else "too late"

    harness.host(race)

    instance_id = harness.start(race)
    harness.client.raise_orchestration_event(instance_id, "approval", data="Ada")

    assert harness.wait(instance_id).get_output() == "Ada"


def test_one_orchestration_sends_an_event_to_another(harness: Harness) -> None:
    async def sender(ctx: task.OrchestrationContext, target: str) -> None:
        ctx.send_event(target, "ping", data={"from": ctx.instance_id})

    async def receiver(ctx: task.OrchestrationContext) -> Any:
        return await ctx.wait_for_external_event("ping")

    harness.host(sender, receiver)

    receiving = harness.start(receiver)
    harness.start(sender, input=receiving, instance_id="the-sender")

    assert harness.wait(receiving).get_output() == {"from": "the-sender"}


def test_a_failing_activity_is_tried_again(harness: Harness) -> None:
    attempts: list[int] = []

    def flaky(_ctx: task.ActivityContext) -> int:
        attempts.append(len(attempts) + 1)
        if len(attempts) < 3:
            raise ConnectionError("not yet")
        return len(attempts)

    async def stubborn(ctx: task.OrchestrationContext) -> int:
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=3
        )
        return await ctx.call_activity(flaky, retry_policy=policy)

    harness.host(stubborn, activities=(flaky,))

    assert harness.run(stubborn).get_output() == 3
    assert attempts == [1, 2, 3]


def test_retries_of_a_child_reuse_its_id(harness: Harness) -> None:
    attempts: list[str] = []

    def flaky_child(ctx: task.OrchestrationContext) -> str:
        attempts.append(ctx.instance_id)
        if len(attempts) < 2:
            raise ConnectionError("not yet")
        return "at last"

    async def stubborn(ctx: task.OrchestrationContext) -> str:
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=3
        )
        return await ctx.call_sub_orchestrator(flaky_child, retry_policy=policy)

    harness.host(stubborn, flaky_child)

    assert harness.run(stubborn).get_output() == "at last"
    assert len(set(attempts)) == 1


def test_failures_keep_their_type_across_activity_child_and_parent(harness: Harness) -> None:
    def broken(_ctx: task.ActivityContext) -> None:
        raise LookupError("no such order") from ValueError("bad key")

    async def child(ctx: task.OrchestrationContext) -> None:
        await ctx.call_activity(broken)

    async def parent(ctx: task.OrchestrationContext) -> str:
        try:
            await ctx.call_sub_orchestrator(child)
        except task.TaskFailedError as error:
            inner = error.details.inner_failure
            assert inner is not None
            return f"{error.details.error_type} from {inner.error_type}: {inner.message}"
        return "nothing failed"

    harness.host(parent, child, activities=(broken,))

    assert harness.run(parent).get_output() == (
        "durabletask.task.TaskFailedError from builtins.LookupError: no such order"
    )


def test_continue_as_new_carries_unread_events(harness: Harness) -> None:
    async def tally(ctx: task.OrchestrationContext, seen: list[int]) -> list[int] | None:
        seen = [*seen, await ctx.wait_for_external_event("item", data_type=int)]
        if len(seen) == 5:
            return seen
        ctx.continue_as_new(seen, save_events=True)
        return None

    harness.host(tally)

    instance_id = harness.start(tally, input=[])
    for number in range(5):
        harness.client.raise_orchestration_event(instance_id, "item", data=number)

    assert harness.wait(instance_id).get_output() == [0, 1, 2, 3, 4]


def test_nothing_moves_while_suspended(harness: Harness) -> None:
    started, finish = threading.Event(), threading.Event()
    runs: list[int] = []

    def slow(_ctx: task.ActivityContext) -> str:
        runs.append(1)
        started.set()
        assert finish.wait(timeout=20)
        return "slow result"

    async def worker_bee(ctx: task.OrchestrationContext) -> list[str]:
        first = await ctx.call_activity(slow)
        return [first, await ctx.call_activity(hello, input="Ada")]

    harness.host(worker_bee, activities=(slow, hello))
    instance_id = harness.start(worker_bee)
    assert started.wait(timeout=20)

    harness.client.suspend_orchestration(instance_id)
    finish.set()
    suspended = harness.client.get_orchestration_state(instance_id)
    harness.client.resume_orchestration(instance_id)

    assert suspended is not None
    assert suspended.runtime_status is OrchestrationStatus.SUSPENDED
    assert harness.wait(instance_id).get_output() == ["slow result", "Hello Ada!"]
    assert runs == [1]


def test_terminate_ends_a_waiting_instance_and_its_children(harness: Harness) -> None:
    async def waits(ctx: task.OrchestrationContext) -> None:
        await ctx.wait_for_external_event("never")

    async def parent(ctx: task.OrchestrationContext) -> None:
        await ctx.call_sub_orchestrator(waits, instance_id="the-child")

    harness.host(parent, waits)
    instance_id = harness.start(parent)
    harness.client.wait_for_orchestration_start(instance_id, timeout=20)

    harness.client.terminate_orchestration(instance_id, output="enough")

    state = harness.wait(instance_id)
    assert state.runtime_status is OrchestrationStatus.TERMINATED
    assert state.get_output() == "enough"
    assert harness.wait("the-child").runtime_status is OrchestrationStatus.TERMINATED


def test_custom_status_and_input_are_visible(harness: Harness) -> None:
    @dataclass
    class Progress:
        done: int

    async def reports(ctx: task.OrchestrationContext, total: int) -> None:
        ctx.set_custom_status(Progress(total))
        await ctx.wait_for_external_event("go on")

    harness.host(reports)
    instance_id = harness.start(reports, input=7)
    harness.client.raise_orchestration_event(instance_id, "go on")

    state = harness.wait(instance_id)

    assert state.get_custom_status(Progress) == Progress(7)
    assert state.get_input() == 7


def test_many_instances_run_side_by_side(harness: Harness) -> None:
    harness.host(chain_async, activities=(hello_async,))

    ids = [harness.start(chain_async, input=[str(n), "x"]) for n in range(50)]

    for n, instance_id in enumerate(ids):
        assert harness.wait(instance_id).get_output() == [f"Hello {n}!", "Hello x!"]
