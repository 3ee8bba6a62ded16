"""What becomes of nonsense and of broken connections."""

from __future__ import annotations

import asyncio

import pytest

from durabletask.protocol import messages, methods
from durabletask.task import ActivityContext
from durabletask.worker import (
    ActivityWorkItemFilter,
    ConcurrencyOptions,
    EntityWorkItemFilter,
    OrchestrationWorkItemFilter,
    WorkItemFilters,
)
from tests.builders.worker import (
    activity_item,
    health_ping,
    refusal,
    settle,
    unreadable_call,
    unreadable_turn,
)
from tests.builders.worker_host import Bench, within


async def test_the_sidecar_is_told_limits_capabilities_and_filters(bench: Bench) -> None:
    bench.told["concurrency"] = ConcurrencyOptions(3, 5, 7)
    bench.told["capabilities"] = (2, 99)
    bench.told["filters"] = WorkItemFilters(
        orchestrations=[OrchestrationWorkItemFilter("order", ["1.0"])],
        activities=[ActivityWorkItemFilter("charge")],
        entities=[EntityWorkItemFilter("Counter")],
    )

    await bench.start()

    assert bench.stream.request == messages.GetWorkItemsRequest(
        max_concurrent_orchestration_work_items=5,
        max_concurrent_activity_work_items=3,
        max_concurrent_entity_work_items=7,
        capabilities=[messages.WorkerCapability(2), messages.WorkerCapability(99)],
        work_item_filters=messages.WorkItemFilters(
            orchestrations=[messages.OrchestrationFilter(name="order", versions=["1.0"])],
            activities=[messages.ActivityFilter(name="charge")],
            entities=[messages.EntityFilter(name="counter")],
        ),
    )


async def test_a_worker_without_filters_is_sent_everything(bench: Bench) -> None:
    await bench.start()

    assert bench.stream.request.work_item_filters is None
    assert bench.stream.request.capabilities == []


@pytest.mark.parametrize(
    ("nonsense", "told"),
    [
        (b"\xff\xff\xff", ["could not be decoded"]),
        (b"", []),
        (health_ping(), []),
    ],
    ids=["bytes", "nothing", "ping"],
)
async def test_messages_that_are_not_work_are_ignored(
    bench: Bench, nonsense: bytes, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    @bench.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    await bench.start()
    bench.stream.send(nonsense)

    assert (await bench.call("greet")).result == '"hello"'
    assert [name for name, _ in bench.sidecar.calls] == ["Hello", "CompleteActivityTask"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == len(told)
    for record, text in zip(errors, told, strict=True):
        assert text in record.getMessage()
        assert record.exc_info is None


async def test_a_work_item_that_cannot_be_read_is_handed_back(bench: Bench) -> None:
    await bench.start()

    bench.stream.send(unreadable_turn(token="the token"))

    abandoned = await bench.answer(methods.ABANDON_ORCHESTRATION_TASK)
    assert abandoned.completion_token == "the token"


async def test_an_activity_that_cannot_be_read_is_handed_back(bench: Bench) -> None:
    await bench.start()

    bench.stream.send(unreadable_call(token="the token"))

    abandoned = await bench.answer(methods.ABANDON_ACTIVITY_TASK)
    assert abandoned.completion_token == "the token"


async def test_a_worker_whose_stream_breaks_reconnects_and_completes_what_it_had(
    bench: Bench,
) -> None:
    may_end = asyncio.Event()

    @bench.activity
    async def hold(ctx: ActivityContext) -> str:
        await may_end.wait()
        return "held"

    @bench.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    await bench.start()
    bench.stream.send(activity_item("hold"))
    await settle()

    bench.stream.fail(refusal("UNAVAILABLE", "connection reset"))
    await settle()
    await bench.clock.advance(1)
    bench.stream = await within(bench.sidecar.opened(2))

    assert (await bench.call("greet")).result == '"hello"'
    may_end.set()
    assert (await bench.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).result == '"held"'
