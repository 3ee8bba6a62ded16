"""What becomes of orchestrations."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from durabletask.protocol import methods
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker import ConcurrencyOptions
from tests.builders.worker import OneInstance, activity_item
from tests.builders.worker_host import Bench


async def finish(bench: Bench, *instances: OneInstance) -> None:
    """Give the instances their turns, in turns, until they have ended."""
    taken = 0
    while waiting := [instance for instance in instances if not instance.has_ended]:
        for instance in waiting:
            bench.stream.send(instance.work_item())
            taken += 1
            instance.commit(await bench.answer(methods.COMPLETE_ORCHESTRATOR_TASK, taken))


@pytest.mark.parametrize("sessions", [0, 100], ids=["replayed", "warm"])
async def test_an_orchestration_ends_alike_from_memory_and_replayed(
    bench: Bench, sessions: int
) -> None:
    @bench.orchestrator
    async def chain(ctx: OrchestrationContext) -> list[int]:
        return [await ctx.call_activity("step") for _ in range(3)]

    bench.told["max_cached_orchestrations"] = sessions
    await bench.start()
    instance = OneInstance("chain")

    await finish(bench, instance)

    assert instance.result == "[1, 2, 3]"


@pytest.mark.parametrize("sessions", [0, 100], ids=["replayed", "warm"])
async def test_context_variables_of_one_instance_are_not_seen_by_another(
    bench: Bench, sessions: int
) -> None:
    owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="nobody")

    @bench.orchestrator
    async def mark(ctx: OrchestrationContext) -> list[str]:
        seen = [owner.get()]
        owner.set(ctx.instance_id)
        await ctx.call_activity("step")
        return [*seen, owner.get()]

    # One thread for all turns, so that a leak would show.
    bench.told["concurrency"] = ConcurrencyOptions(maximum_concurrent_orchestration_work_items=1)
    bench.told["max_cached_orchestrations"] = sessions
    await bench.start()
    instances = [OneInstance("mark", instance=name) for name in ("one", "two")]

    await finish(bench, *instances)

    assert [instance.result for instance in instances] == [
        '["nobody", "one"]',
        '["nobody", "two"]',
    ]


async def test_a_turn_runs_where_there_is_no_event_loop(bench: Bench) -> None:
    @bench.orchestrator
    def look(ctx: OrchestrationContext) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "none"
        return "one"

    await bench.start()
    instance = OneInstance("look")

    await finish(bench, instance)

    assert instance.result == '"none"'


async def test_a_turn_does_not_wait_behind_activities(bench: Bench) -> None:
    all_are_busy, may_end = threading.Barrier(3), threading.Event()

    @bench.activity
    def hold(ctx: ActivityContext) -> None:
        all_are_busy.wait(20)
        may_end.wait(20)

    @bench.orchestrator
    def hello(ctx: OrchestrationContext) -> str:
        return "hello"

    bench.told["concurrency"] = ConcurrencyOptions(maximum_thread_pool_workers=2)
    await bench.start()
    for _ in range(5):
        bench.stream.send(activity_item("hold"))
    await asyncio.to_thread(all_are_busy.wait, 20)
    instance = OneInstance("hello")

    await finish(bench, instance)

    assert instance.result == '"hello"'
    may_end.set()
    all_are_busy.abort()
