"""How it ends."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading

import pytest

from durabletask.core.registry import Registry
from durabletask.protocol import methods
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker._host import CLEANUP_SECONDS, WorkerHost
from tests.builders.worker import (
    ManualLoopClock,
    OneInstanceEngine,
    ScriptedSidecar,
    activity_item,
    refusal,
    settle,
    worker_config,
)
from tests.builders.worker_host import HostHarness, within


async def test_an_idle_worker_stops_without_waiting_for_anything(harness: HostHarness) -> None:
    await harness.start()

    await harness.stop(grace=30)

    assert harness.clock.time() == 0
    assert harness.stream.is_closed
    assert harness.sidecar.times_closed == 1


async def test_what_has_begun_is_finished_and_the_stream_held_until_then(
    harness: HostHarness,
) -> None:
    may_end = asyncio.Event()

    @harness.activity
    async def hold(ctx: ActivityContext) -> str:
        await may_end.wait()
        return "held"

    await harness.start()
    harness.stream.send(activity_item("hold"))
    await settle()

    stopping = asyncio.create_task(harness.stop(grace=30))
    await settle()
    assert not harness.stream.is_closed

    may_end.set()
    await within(stopping)
    assert (await harness.answer(methods.COMPLETE_ACTIVITY_TASK)).result == '"held"'
    assert harness.stream.is_closed


async def test_what_outlasts_the_grace_is_cancelled_and_not_completed(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    was_cancelled = []

    @harness.activity
    async def hold(ctx: ActivityContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled.append(True)
            raise

    await harness.start()
    harness.stream.send(activity_item("hold"))
    await settle()

    stopping = asyncio.create_task(harness.stop(grace=30))
    await settle()
    await harness.clock.advance(29)
    assert not stopping.done()
    await harness.clock.advance(1)
    await within(stopping)

    assert was_cancelled == [True]
    assert harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []
    assert "work in flight" in caplog.text


async def test_a_thread_that_never_returns_does_not_keep_the_worker(harness: HostHarness) -> None:
    may_end = threading.Event()
    began: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()

    @harness.activity
    def hold(ctx: ActivityContext) -> None:
        began.put(threading.current_thread())
        may_end.wait(20)

    await harness.start()
    harness.stream.send(activity_item("hold"))
    thread = await asyncio.to_thread(began.get)

    await harness.stop(grace=0)
    assert thread.is_alive()

    may_end.set()
    await asyncio.to_thread(thread.join, 20)
    await settle()
    assert harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []


async def test_orchestrations_that_wait_are_closed_without_an_event_loop(
    harness: HostHarness,
) -> None:
    closed_in: list[str] = []

    @harness.orchestrator
    async def wait(ctx: OrchestrationContext) -> None:
        try:
            await ctx.call_activity("never")
        finally:
            closed_in.append(threading.current_thread().name)

    await harness.start()
    harness.stream.send(OneInstanceEngine("wait").work_item())
    await harness.answer(methods.COMPLETE_ORCHESTRATOR_TASK)

    await harness.stop()

    assert len(closed_in) == 1
    assert closed_in[0] != threading.current_thread().name


async def test_a_finally_block_that_never_ends_does_not_keep_the_worker(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    is_closing, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @harness.orchestrator
    async def cling(ctx: OrchestrationContext) -> None:
        try:
            await ctx.call_activity("never")
        finally:
            loop.call_soon_threadsafe(is_closing.set)
            may_end.wait(20)

    await harness.start()
    harness.stream.send(OneInstanceEngine("cling").work_item())
    await harness.answer(methods.COMPLETE_ORCHESTRATOR_TASK)
    await harness.clock.advance(60)

    stopping = asyncio.create_task(harness.stop(grace=30))
    await within(is_closing.wait())
    await harness.clock.advance(29)
    assert not stopping.done()
    assert harness.sidecar.times_closed == 1

    await harness.clock.advance(1)
    await within(stopping)
    assert "left alone" in caplog.text
    may_end.set()


async def test_an_activity_that_will_not_be_cancelled_does_not_keep_the_worker(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    @harness.activity
    async def cling(ctx: ActivityContext) -> None:
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    await harness.start()
    harness.stream.send(activity_item("cling"))
    await settle()

    stopping = asyncio.create_task(harness.stop(grace=0))
    try:
        await settle()
        assert harness.sidecar.times_closed == 1
        await harness.clock.advance(CLEANUP_SECONDS / 2)
        assert not stopping.done()

        await harness.clock.advance(CLEANUP_SECONDS / 2)
        await within(stopping)
    finally:
        # Or it would cling to the test as well.
        may_end.set()
    assert "left alone" in caplog.text
    await settle()
    assert harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == []


def test_a_program_that_ends_its_loop_leaves_its_activities_to_be_done_again() -> None:
    """`asyncio.run` then cancels all tasks at once, those of the activities among them."""
    sidecar, registry = ScriptedSidecar(), Registry()

    async def hold(ctx: ActivityContext) -> None:
        await asyncio.Event().wait()

    async def program() -> None:
        registry.add_activity(hold)
        host = WorkerHost(
            worker_config(registry, sidecar, ManualLoopClock()), on_state_change=lambda *_: None
        )
        running.append(asyncio.create_task(host.run()))
        (await sidecar.opened()).send(activity_item("hold"))
        await settle()

    running: list[asyncio.Task[None]] = []
    asyncio.run(program())

    assert running[0].cancelled()
    assert [name for name, _ in sidecar.calls] == ["Hello"]


async def test_a_worker_that_is_cancelled_gives_up_at_once(harness: HostHarness) -> None:
    @harness.activity
    async def hold(ctx: ActivityContext) -> None:
        await asyncio.Event().wait()

    await harness.start()
    harness.stream.send(activity_item("hold"))
    await settle()

    assert harness.running is not None
    harness.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(harness.running)

    assert harness.stream.is_closed
    assert harness.sidecar.times_closed == 1


async def test_a_completion_in_flight_when_the_worker_stops_is_still_delivered(
    harness: HostHarness,
) -> None:
    @harness.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("UNAVAILABLE"))
    await harness.start()
    await harness.call("greet")

    stopping = asyncio.create_task(harness.stop(grace=30))
    await settle()
    await harness.clock.advance(1)
    await within(stopping)

    assert len(harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 2
