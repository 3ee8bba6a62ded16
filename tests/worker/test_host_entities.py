"""What becomes of batches of entity operations."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.entities import DurableEntity, EntityContext
from durabletask.protocol import codec, events, messages, methods
from durabletask.worker import ConcurrencyOptions
from tests.builders.worker import (
    START,
    entity_item,
    entity_item_v2,
    refusal,
    settle,
    unreadable_entity_item,
)

if TYPE_CHECKING:
    from tests.builders.worker_host import HostHarness


CALLER = messages.OrchestrationInstance(instance_id="caller", execution_id="run")


class Counter(DurableEntity):
    def add(self, amount: int) -> int:
        total = self.get_state(int, 0) + amount
        self.set_state(total)
        return total


async def perform(harness: HostHarness, raw: bytes) -> messages.EntityBatchResult:
    """Have the batch done, and wait for what came of it."""
    before = len(harness.sidecar.requests(methods.COMPLETE_ENTITY_TASK))
    harness.stream.send(raw)
    answer: messages.EntityBatchResult = await harness.answer(
        methods.COMPLETE_ENTITY_TASK, before + 1
    )
    return answer


def signal(input: str) -> messages.HistoryEvent:
    return events.entity_operation_signaled(-1, None, "add", input, request_id="a")


def outputs(result: messages.EntityBatchResult) -> list[str | None]:
    return [each.success.result if each.success else None for each in result.results]


async def test_operations_are_performed_in_order_and_the_state_is_returned(
    harness: HostHarness,
) -> None:
    harness.registry.add_entity(Counter)
    await harness.start()

    result = await perform(
        harness, entity_item(("add", "2"), ("add", "3"), state="1", token="the t")
    )

    assert outputs(result) == ["3", "6"]
    assert result.entity_state == "6"
    assert result.completion_token == "the t"
    assert result.operation_infos == []


async def test_results_of_the_newer_form_say_where_they_go(harness: HostHarness) -> None:
    harness.registry.add_entity(Counter)
    await harness.start()

    result = await perform(
        harness,
        entity_item_v2(
            signal("2"),
            events.entity_operation_called(-1, None, "add", "3", request_id="b", parent=CALLER),
        ),
    )

    assert outputs(result) == ["2", "5"]
    assert result.operation_infos == [
        messages.OperationInfo("a"),
        messages.OperationInfo("b", CALLER),
    ]


async def test_an_operation_takes_its_times_from_the_workers_clock(harness: HostHarness) -> None:
    harness.registry.add_entity(Counter)
    await harness.start()

    result = await perform(harness, entity_item(("add", "2")))

    success = result.results[0].success
    assert success is not None
    assert (success.start_time_utc, success.end_time_utc) == (START, START)


async def test_an_operation_that_fails_does_not_affect_the_others(harness: HostHarness) -> None:
    harness.registry.add_entity(Counter)
    await harness.start()

    result = await perform(harness, entity_item(("add", "2"), ("sub", "3"), ("add", "4")))

    assert outputs(result) == ["2", None, "6"]
    assert result.failure_details is None


async def test_an_unknown_entity_fails_its_operations_and_names_what_is_registered(
    harness: HostHarness,
) -> None:
    harness.registry.add_entity(Counter, "another")
    await harness.start()

    result = await perform(harness, entity_item(("add", "2")))

    failure = result.results[0].failure
    assert failure is not None
    assert failure.failure_details is not None
    assert failure.failure_details.error_type == "durabletask.worker.EntityNotRegisteredError"
    assert "'another'" in failure.failure_details.error_message


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_an_entity_that_wants_to_exit_fails_and_the_worker_goes_on(
    harness: HostHarness, error: BaseException
) -> None:
    def leave(_ctx: EntityContext, _input: Any) -> None:
        raise error

    harness.registry.add_entity(leave, "counter")
    await harness.start()

    for _ in range(2):
        result = await perform(harness, entity_item(("add", "2")))
        assert result.results[0].failure is not None


async def test_operations_run_where_there_is_no_event_loop(harness: HostHarness) -> None:
    ran_in: list[threading.Thread] = []

    def look(_ctx: EntityContext, _input: Any) -> None:
        ran_in.append(threading.current_thread())

    harness.registry.add_entity(look, "counter")
    await harness.start()

    await perform(harness, entity_item(("add", "2")))

    assert len(ran_in) == 1
    assert ran_in[0] is not threading.current_thread()


async def test_as_many_batches_are_performed_at_once_as_the_limit_says(
    harness: HostHarness,
) -> None:
    both_are_busy = threading.Barrier(2)

    def meet(_ctx: EntityContext, _input: Any) -> None:
        both_are_busy.wait(20)

    harness.registry.add_entity(meet, "counter")
    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_concurrent_entity_work_items=2)
    await harness.start()

    for key in ("one", "two"):
        harness.stream.send(entity_item(("add", "2"), id=f"@counter@{key}"))
    await harness.answer(methods.COMPLETE_ENTITY_TASK, 2)

    answers = harness.sidecar.requests(methods.COMPLETE_ENTITY_TASK)
    assert [outputs(answer) for answer in answers] == [[""], [""]]


async def test_an_entity_does_not_wait_behind_activities(harness: HostHarness) -> None:
    may_end, is_busy = threading.Event(), threading.Event()

    @harness.activity
    def hold(_ctx: Any) -> None:
        is_busy.set()
        may_end.wait(20)

    harness.registry.add_entity(Counter)
    harness.overrides["concurrency"] = ConcurrencyOptions(maximum_thread_pool_workers=1)
    await harness.start()
    holding = asyncio.create_task(harness.call("hold"))
    await asyncio.to_thread(is_busy.wait, 20)

    assert outputs(await perform(harness, entity_item(("add", "2")))) == ["2"]
    may_end.set()
    await holding


@pytest.mark.parametrize("form", ["older", "newer"])
async def test_results_that_are_too_large_fail_the_batch_and_name_the_limit(
    harness: HostHarness, form: str
) -> None:
    details = "Received message larger than max (1040 vs. 1000)"
    harness.sidecar.refuse(methods.COMPLETE_ENTITY_TASK, refusal("RESOURCE_EXHAUSTED", details))
    harness.registry.add_entity(Counter)
    await harness.start()
    harness.stream.send(
        entity_item(("add", "2")) if form == "older" else entity_item_v2(signal("2"))
    )

    result = await harness.answer(methods.COMPLETE_ENTITY_TASK, 2)

    assert result.failure_details.error_type == "durabletask.worker.MessageTooLargeError"
    for part in ("'@counter@one'", "1,040 bytes", "limit", "1,000"):
        assert part in result.failure_details.error_message
    assert (result.results, result.entity_state, result.completion_token) == ([], None, "t")
    assert len(result.operation_infos) == (form == "newer")


async def test_a_batch_that_cannot_be_read_is_handed_back(harness: HostHarness) -> None:
    await harness.start()

    harness.stream.send(unreadable_entity_item(token="the token"))

    abandoned = await harness.answer(methods.ABANDON_ENTITY_TASK)
    assert abandoned.completion_token == "the token"


async def test_a_result_that_cannot_be_encoded_fails_the_batch(harness: HostHarness) -> None:
    harness.sidecar.refuse(methods.COMPLETE_ENTITY_TASK, codec.EncodeError("odd"))
    harness.registry.add_entity(Counter)
    await harness.start()
    harness.stream.send(entity_item(("add", "2")))

    result = await harness.answer(methods.COMPLETE_ENTITY_TASK, 2)

    assert result.failure_details.error_type.endswith("EncodeError")


async def test_a_batch_that_has_begun_is_finished_before_the_worker_stops(
    harness: HostHarness,
) -> None:
    may_end, is_busy = threading.Event(), threading.Event()

    def hold(_ctx: EntityContext, _input: Any) -> str:
        is_busy.set()
        may_end.wait(20)
        return "held"

    harness.registry.add_entity(hold, "counter")
    await harness.start()
    harness.stream.send(entity_item(("add", "2")))
    await asyncio.to_thread(is_busy.wait, 20)

    stopping = asyncio.create_task(harness.stop(grace=30))
    await settle()
    may_end.set()
    await stopping

    (result,) = harness.sidecar.requests(methods.COMPLETE_ENTITY_TASK)
    assert outputs(result) == ['"held"']
