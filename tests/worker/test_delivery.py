from __future__ import annotations

import asyncio
import logging

import pytest

from durabletask.protocol import codec, messages, methods
from durabletask.transport.engine_detection import Engine
from durabletask.transport.errors import LeaseLostError
from durabletask.worker._delivery import (
    BACKOFF_CAP,
    MAX_ATTEMPTS,
    MAX_IN_FLIGHT,
    CompletionDelivery,
)
from durabletask.worker._work_items import Completion, WorkItem
from tests.builders.worker import (
    OURS,
    ManualLoopClock,
    ScriptedSidecar,
    activity_item,
    refusal,
    settle,
    work_item_from,
)

RETRIED = ["UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "UNKNOWN"]


@pytest.fixture
def clock() -> ManualLoopClock:
    return ManualLoopClock()


@pytest.fixture
def sidecar() -> ScriptedSidecar:
    return ScriptedSidecar()


@pytest.fixture
def abort_reasons() -> list[str]:
    """The reason of each time the stream was aborted."""
    return []


@pytest.fixture
def delivery(
    clock: ManualLoopClock, sidecar: ScriptedSidecar, abort_reasons: list[str]
) -> CompletionDelivery:
    return CompletionDelivery(
        lambda: sidecar,
        clock=clock,
        draw=lambda: 1.0,
        abort_stream=abort_reasons.append,
        log=logging.getLogger("test"),
    )


def item(engine: Engine = OURS) -> WorkItem:
    return work_item_from(activity_item("greet"), engine)


def completion(result: str = "1", *, with_fallback: bool = True) -> Completion:
    response = messages.ActivityResponse(task_id=1, result=result, completion_token="t")
    return Completion(
        item(),
        methods.COMPLETE_ACTIVITY_TASK,
        response,
        fallback=(lambda reason: completion(str(reason), with_fallback=False))
        if with_fallback
        else None,
    )


def abandon(item: WorkItem) -> Completion:
    request = messages.AbandonActivityTaskRequest(completion_token=item.token)
    return Completion(item, methods.ABANDON_ACTIVITY_TASK, request)


async def delivered(delivery: CompletionDelivery, clock: ManualLoopClock) -> None:
    """Deliver a completion, letting as much time pass as that takes."""
    delivering = asyncio.create_task(delivery.deliver(completion(), abandon))
    for _ in range(MAX_ATTEMPTS + 1):
        await settle()
        await clock.advance(BACKOFF_CAP)
    await asyncio.wait_for(delivering, 10)


@pytest.mark.parametrize("status", RETRIED)
async def test_a_completion_that_may_be_lost_is_sent_again(
    status: str, delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal(status), refusal(status))

    await delivered(delivery, clock)

    assert sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == [completion().request] * 3
    assert sidecar.requests(methods.ABANDON_ACTIVITY_TASK) == []


async def test_an_error_without_a_status_is_retried(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, RuntimeError("The client is closed"))

    await delivered(delivery, clock)

    assert len(sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 2


async def test_the_second_error_without_a_status_is_logged_as_a_warning(
    delivery: CompletionDelivery,
    sidecar: ScriptedSidecar,
    clock: ManualLoopClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = [RuntimeError("The client is closed")] * 5
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, *broken)

    await delivered(delivery, clock)

    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "Instance 'one'" in warning.getMessage()
    assert "RuntimeError('The client is closed')" in warning.getMessage()
    fields = vars(warning)
    assert (fields["instance_id"], fields["kind"]) == ("one", "activity")
    assert (fields["attempt"], fields["status"]) == (2, None)


async def test_a_completion_that_cannot_be_encoded_is_replaced_by_a_failure_at_once(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar
) -> None:
    error = codec.EncodeError("ActivityResponse: 'n' is no text")
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, error)

    await delivery.deliver(completion(), abandon)

    _, second = sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)
    assert second.result == "ActivityResponse: 'n' is no text"


async def test_a_failure_that_cannot_be_encoded_either_is_handed_back(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, *[codec.EncodeError("no")] * 2)

    await delivery.deliver(completion(), abandon)

    assert len(sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 2
    assert len(sidecar.requests(methods.ABANDON_ACTIVITY_TASK)) == 1


async def test_work_is_handed_back_to_a_sidecar_that_stays_overloaded(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    short = refusal("RESOURCE_EXHAUSTED", "too many calls")
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, *[short] * MAX_ATTEMPTS)

    await delivered(delivery, clock)

    assert sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == [completion().request] * MAX_ATTEMPTS
    assert len(sidecar.requests(methods.ABANDON_ACTIVITY_TASK)) == 1


async def test_the_delays_between_attempts_grow_up_to_a_cap(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, *[refusal("UNAVAILABLE")] * 9)
    delivering = asyncio.create_task(delivery.deliver(completion(), abandon))
    waits = []
    for _ in range(9):
        await settle()
        waits += clock.waits
        await clock.advance(clock.waits[0])
    await asyncio.wait_for(delivering, 10)

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


@pytest.mark.parametrize(
    "stale",
    [
        refusal("NOT_FOUND", "no such lease", kind=LeaseLostError),
        refusal("UNKNOWN", "unknown instance ID/task ID combo: one/1", kind=LeaseLostError),
        refusal("UNKNOWN", "channel closed"),
    ],
    ids=["lease", "go", "go-twice"],
)
async def test_a_completion_that_the_sidecar_no_longer_waits_for_is_dropped(
    stale: Exception, delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, stale)

    await delivered(delivery, clock)

    assert len(sidecar.calls) == 1


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "PERMISSION_DENIED", "UNIMPLEMENTED"])
async def test_work_whose_completion_is_rejected_is_handed_back_at_once(
    status: str,
    delivery: CompletionDelivery,
    sidecar: ScriptedSidecar,
    clock: ManualLoopClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal(status))

    await delivered(delivery, clock)

    assert len(sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 1
    assert sidecar.requests(methods.ABANDON_ACTIVITY_TASK) == [abandon(item()).request]
    assert "Instance 'one'" in caplog.text


async def test_work_whose_completion_never_arrives_is_handed_back_in_the_end(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, *[refusal("UNAVAILABLE")] * MAX_ATTEMPTS)

    await delivered(delivery, clock)

    assert len(sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == MAX_ATTEMPTS
    assert len(sidecar.requests(methods.ABANDON_ACTIVITY_TASK)) == 1


async def test_a_completion_that_is_too_large_is_replaced_by_a_failure_with_size_and_limit(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    details = "Received message larger than max (5242890 vs. 4194304)"
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("RESOURCE_EXHAUSTED", details))

    await delivered(delivery, clock)

    _, second = sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)
    assert "5,242,890 bytes" in second.result
    assert "4,194,304" in second.result


async def test_the_size_is_measured_where_the_sidecar_does_not_say_it(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("RESOURCE_EXHAUSTED", "4 MB at most"))

    await delivery.deliver(completion("x" * 2_000_000), abandon)

    _, second = sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)
    assert "2,000,0" in second.result
    assert "4 MB at most" in second.result


async def test_a_completion_is_sent_again_to_a_sidecar_that_is_overloaded(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("RESOURCE_EXHAUSTED", "too many calls"))

    await delivered(delivery, clock)

    assert sidecar.requests(methods.COMPLETE_ACTIVITY_TASK) == [completion().request] * 2


async def test_work_is_handed_back_if_its_failure_is_too_large_as_well(
    delivery: CompletionDelivery, sidecar: ScriptedSidecar, clock: ManualLoopClock
) -> None:
    larger = refusal("RESOURCE_EXHAUSTED", "Sent message larger than max (5 vs. 4)")
    sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, larger, larger)

    await delivered(delivery, clock)

    assert len(sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 2
    assert len(sidecar.requests(methods.ABANDON_ACTIVITY_TASK)) == 1


async def test_no_more_completions_are_in_flight_than_a_grpc_server_accepts() -> None:
    class Held(ScriptedSidecar):
        at_once = most = 0

        async def unary(self, *_: object, **__: object) -> object:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await settle()
            self.at_once -= 1
            return messages.CompleteTaskResponse()

    held = Held()
    delivery = CompletionDelivery(
        lambda: held,
        clock=ManualLoopClock(),
        draw=lambda: 1.0,
        abort_stream=lambda _reason: None,
        log=logging.getLogger("test"),
    )

    await asyncio.gather(
        *(delivery.deliver(completion(), abandon) for _ in range(3 * MAX_IN_FLIGHT))
    )

    assert held.most == MAX_IN_FLIGHT
