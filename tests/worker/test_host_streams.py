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
    unreadable_activity_item,
    unreadable_orchestrator_item,
)
from tests.builders.worker_host import HostHarness, within


async def test_the_sidecar_is_told_limits_capabilities_and_filters(harness: HostHarness) -> None:
    harness.overrides["concurrency"] = ConcurrencyOptions(3, 5, 7)
    harness.overrides["capabilities"] = (2, 99)
    harness.overrides["filters"] = WorkItemFilters(
        orchestrations=[OrchestrationWorkItemFilter("order", ["1.0"])],
        activities=[ActivityWorkItemFilter("charge")],
        entities=[EntityWorkItemFilter("Counter")],
    )

    await harness.start()

    assert harness.stream.request == messages.GetWorkItemsRequest(
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


async def test_a_worker_without_filters_is_sent_everything(harness: HostHarness) -> None:
    await harness.start()

    assert harness.stream.request.work_item_filters is None
    assert harness.stream.request.capabilities == []


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
    harness: HostHarness, nonsense: bytes, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    @harness.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    await harness.start()
    harness.stream.send(nonsense)

    assert (await harness.call("greet")).result == '"hello"'
    assert [name for name, _ in harness.sidecar.calls] == ["Hello", "CompleteActivityTask"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == len(told)
    for record, text in zip(errors, told, strict=True):
        assert text in record.getMessage()
        assert record.exc_info is None


async def test_a_work_item_that_cannot_be_read_is_handed_back(harness: HostHarness) -> None:
    await harness.start()

    harness.stream.send(unreadable_orchestrator_item(token="the token"))

    abandoned = await harness.answer(methods.ABANDON_ORCHESTRATION_TASK)
    assert abandoned.completion_token == "the token"


async def test_an_activity_that_cannot_be_read_is_handed_back(harness: HostHarness) -> None:
    await harness.start()

    harness.stream.send(unreadable_activity_item(token="the token"))

    abandoned = await harness.answer(methods.ABANDON_ACTIVITY_TASK)
    assert abandoned.completion_token == "the token"


async def test_a_worker_whose_stream_breaks_reconnects_and_completes_what_it_had(
    harness: HostHarness,
) -> None:
    may_end = asyncio.Event()

    @harness.activity
    async def hold(ctx: ActivityContext) -> str:
        await may_end.wait()
        return "held"

    @harness.activity
    def greet(ctx: ActivityContext) -> str:
        return "hello"

    await harness.start()
    harness.stream.send(activity_item("hold"))
    await settle()

    harness.stream.fail(refusal("UNAVAILABLE", "connection reset"))
    await settle()
    await harness.clock.advance(1)
    harness.stream = await within(harness.sidecar.opened(2))

    assert (await harness.call("greet")).result == '"hello"'
    may_end.set()
    assert (await harness.answer(methods.COMPLETE_ACTIVITY_TASK, 2)).result == '"held"'
