"""What our own worker and client make of limits: nothing hangs, and each text says what to do."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.sidecar import Limits
from durabletask.transport.errors import SidecarError

if TYPE_CHECKING:
    from tests.e2e.conftest import Harness

LIMITS = Limits(
    message_bytes=50_000,
    payload_bytes=5000,
    history_events=100,
    waiting=50,
    instances=5,
    streams=1,
)

LARGE = "x" * 6000


def echo(_ctx: task.ActivityContext, value: Any) -> Any:
    return value


def grow(_ctx: task.ActivityContext, size: int) -> str:
    return "x" * size


def healthy(_ctx: task.OrchestrationContext) -> str:
    return "still alive"


def waits(ctx: task.OrchestrationContext) -> Any:
    return (yield ctx.wait_for_external_event("go"))


def refused(harness: Harness, *args: Any, **kwargs: Any) -> SidecarError:
    with pytest.raises(SidecarError) as raised:
        harness.start(*args, **kwargs)
    return raised.value


def test_an_input_that_is_too_large_is_refused_with_the_flag_in_the_text(
    harness: Harness,
) -> None:
    harness.host(healthy)

    error = refused(harness, healthy, input=LARGE)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "6002 bytes; the limit is 5000 (payload_bytes, --max-payload-bytes)" in str(error)
    assert harness.run(healthy).get_output() == "still alive"


def test_an_activity_that_returns_too_much_has_failed_and_its_orchestration_may_go_on(
    harness: Harness,
) -> None:
    async def careful(ctx: task.OrchestrationContext) -> list[Any]:
        try:
            await ctx.call_activity(grow, input=6000)
        except task.TaskFailedError as error:
            return [error.details.error_type, len(await ctx.call_activity(grow, input=4000))]
        return []

    harness.host(careful, activities=(grow,))

    assert harness.run(careful).get_output() == ["PayloadTooLarge", 4000]


@pytest.mark.parametrize("place", ["input", "output", "custom status"])
def test_an_orchestration_that_passes_on_too_much_has_failed_and_others_go_on(
    harness: Harness, place: str
) -> None:
    async def careless(ctx: task.OrchestrationContext) -> str:
        await ctx.call_activity(echo, input=1)
        if place == "custom status":
            ctx.set_custom_status(LARGE)
        if place != "output":
            await ctx.call_activity(echo, input=LARGE if place == "input" else 2)
        return LARGE

    harness.host(careless, healthy, activities=(echo,))
    state = harness.run(careless)

    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert state.failure_details.error_type == "PayloadTooLarge"
    assert place in state.failure_details.message
    assert harness.run(healthy).get_output() == "still alive"


async def returns_too_much(ctx: task.OrchestrationContext) -> None:
    await ctx.call_activity(grow, input=60_000)


async def asks_too_much(ctx: task.OrchestrationContext) -> None:
    # None of the inputs is too large, but there are many of them.
    await task.when_all([ctx.call_activity(echo, input="x" * 4000) for _ in range(20)])


@pytest.mark.parametrize("careless", [returns_too_much, asks_too_much])
def test_an_answer_that_is_larger_than_a_message_fails_its_work_and_not_the_worker(
    harness: Harness, careless: Any
) -> None:
    harness.host(careless, healthy, activities=(grow, echo))
    state = harness.run(careless)

    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert "the limit for a message to the sidecar is 50,000" in state.failure_details.message
    assert harness.run(healthy).get_output() == "still alive"


def test_an_orchestration_that_runs_for_ever_fails_and_is_told_to_continue_as_new(
    harness: Harness,
) -> None:
    async def endless(ctx: task.OrchestrationContext) -> None:
        while True:
            await ctx.call_activity(echo, input=1)

    harness.host(endless, activities=(echo,))
    state = harness.run(endless)

    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert state.failure_details.error_type == "HistoryTooLong"
    assert (
        "the limit is 100 (history_events, --max-history-events)" in state.failure_details.message
    )
    assert "continue as new" in state.failure_details.message


def test_one_that_continues_as_new_may_run_for_as_long_as_it_likes(harness: Harness) -> None:
    def steady(ctx: task.OrchestrationContext, rounds: int) -> Any:
        for _ in range(10):
            yield ctx.call_activity(echo, input=1)
        if rounds:
            ctx.continue_as_new(rounds - 1)
            return None
        return "done"

    harness.host(steady, activities=(echo,))

    assert harness.run(steady, input=10).get_output() == "done"


def test_children_beyond_the_limit_fail_and_are_started_when_there_is_room(
    harness: Harness,
) -> None:
    """A retry policy waits for room as for anything else that passes."""
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=100
    )

    def parent(ctx: task.OrchestrationContext) -> Any:
        calls = [ctx.call_sub_orchestrator(healthy, retry_policy=policy) for _ in range(12)]
        return (yield task.when_all(calls))

    harness.host(parent, healthy)

    assert harness.run(parent).get_output() == ["still alive"] * 12


def test_one_orchestration_too_many_is_refused_until_there_is_room(harness: Harness) -> None:
    harness.host(waits, healthy)
    started = [harness.start(waits) for _ in range(5)]

    error = refused(harness, healthy)
    harness.client.raise_orchestration_event(started[0], "go", data="on")
    harness.wait(started[0])

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the limit is 5 (instances, --max-instances)" in str(error)
    assert "channel_options" not in str(error)
    assert harness.run(healthy).get_output() == "still alive"


def test_events_that_were_taken_arrive_though_others_were_refused(harness: Harness) -> None:
    async def collects(ctx: task.OrchestrationContext) -> list[int]:
        return [await ctx.wait_for_external_event("tick") for _ in range(49)]

    id = harness.start(collects)
    # The start waits too.
    for number in range(49):
        harness.client.raise_orchestration_event(id, "tick", data=number)
    with pytest.raises(SidecarError, match="--max-waiting"):
        harness.client.raise_orchestration_event(id, "tick", data=49)

    harness.host(collects)

    assert harness.wait(id).get_output() == list(range(49))


async def test_a_worker_too_many_waits_for_room_and_says_so_once(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "--max-streams" in record.getMessage() and record.levelno == logging.WARNING:
                loop.call_soon_threadsafe(told.set)

    harness.host(healthy)
    await asyncio.to_thread(harness.worker.wait_until_ready)
    second = harness.new_worker()
    second.add_orchestrator(healthy)
    listener = Listener()
    logging.getLogger().addHandler(listener)
    try:
        with second:
            second.start()
            await asyncio.wait_for(told.wait(), 30)
            await asyncio.to_thread(harness.worker.stop)

            state = await asyncio.to_thread(harness.run, healthy)
    finally:
        logging.getLogger().removeHandler(listener)

    assert state.get_output() == "still alive"
    texts = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len([text for text in texts if "--max-streams" in text]) == 1
