"""What becomes of orchestrations."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from durabletask.protocol import methods
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker import ConcurrencyOptions
from tests.builders.worker import OneInstanceEngine, activity_item
from tests.builders.worker_host import HostHarness


async def finish(harness: HostHarness, *instances: OneInstanceEngine) -> None:
    """Give the instances their turns, in turns, until they have ended."""
    taken = 0
    while waiting := [instance for instance in instances if not instance.has_ended]:
        for instance in waiting:
            harness.stream.send(instance.work_item())
            taken += 1
            instance.commit(await harness.answer(methods.COMPLETE_ORCHESTRATOR_TASK, taken))


@pytest.mark.parametrize("sessions", [0, 100], ids=["replayed", "warm"])
async def test_an_orchestration_ends_alike_from_memory_and_replayed(
    harness: HostHarness, sessions: int
) -> None:
    @harness.orchestrator
    async def chain(ctx: OrchestrationContext) -> list[int]:
        return [await ctx.call_activity("step") for _ in range(3)]

    harness.overrides["max_cached_orchestrations"] = sessions
    await harness.start()
    instance = OneInstanceEngine("chain")

    await finish(harness, instance)

    assert instance.result == "[1, 2, 3]"


@pytest.mark.parametrize("sessions", [0, 100], ids=["replayed", "warm"])
async def test_context_variables_of_one_instance_are_not_seen_by_another(
    harness: HostHarness, sessions: int
) -> None:
    owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="nobody")

    @harness.orchestrator
    async def mark(ctx: OrchestrationContext) -> list[str]:
        seen = [owner.get()]
        owner.set(ctx.instance_id)
        await ctx.call_activity("step")
        return [*seen, owner.get()]

    # One thread for all turns, so that a leak would show.
    harness.overrides["concurrency"] = ConcurrencyOptions(
        maximum_concurrent_orchestration_work_items=1
    )
    harness.overrides["max_cached_orchestrations"] = sessions
    await harness.start()
    instances = [OneInstanceEngine("mark", instance=name) for name in ("one", "two")]

    await finish(harness, *instances)

    assert [instance.result for instance in instances] == [
        '["nobody", "one"]',
        '["nobody", "two"]',
    ]


async def test_a_turn_runs_where_there_is_no_event_loop(harness: HostHarness) -> None:
    @harness.orchestrator
    def look(ctx: OrchestrationContext) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "none"
        return "one"

    await harness.start()
    instance = OneInstanceEngine("look")

    await finish(harness, instance)

    assert instance.result == '"none"'


async def test_a_turn_does_not_wait_behind_activities(harness: HostHarness) -> None:
    all_are_busy, may_end = threading.Barrier(3), threading.Event()

    @harness.activity
    def hold(ctx: ActivityContext) -> None:
        all_are_busy.wait(20)
        may_end.wait(20)

    @harness.orchestrator
    def hello(ctx: OrchestrationContext) -> str:
        return "hello"

    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_thread_pool_workers=2)
    await harness.start()
    for _ in range(5):
        harness.stream.send(activity_item("hold"))
    await asyncio.to_thread(all_are_busy.wait, 20)
    instance = OneInstanceEngine("hello")

    await finish(harness, instance)

    assert instance.result == '"hello"'
    may_end.set()
    all_are_busy.abort()
