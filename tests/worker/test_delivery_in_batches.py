"""What becomes of completions on the batch stream of a sidecar that a test plays, over gRPC."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from durabletask.protocol import codec, messages, methods
from durabletask.transport import grpc_async_transport
from durabletask.transport.batched_calls import batched_calls_of
from durabletask.transport.errors import SidecarUnavailableError
from durabletask.worker import _delivery
from durabletask.worker._delivery import CompletionDelivery
from durabletask.worker._work_items import Completion, WorkItem
from tests.builders.batch_sidecar import BatchingSidecar, serving
from tests.builders.worker import ManualLoopClock, activity_item, work_item_from
from tests.builders.worker_host import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACCEPTED = codec.encode(messages.CompleteTaskResponse())


@asynccontextmanager
async def delivering(sidecar: BatchingSidecar) -> AsyncIterator[CompletionDelivery]:
    """A delivery over an open batch stream, which repeats at once what failed."""
    async with serving(sidecar):
        transport: Any = grpc_async_transport(sidecar.address, patience=0)
        try:
            await transport.identify_engine()
            await batched_calls_of(transport).stream_to_use().decided  # type: ignore[union-attr]
            yield CompletionDelivery(
                lambda: transport,
                clock=ManualLoopClock(),
                draw=lambda: 0.0,
                abort_stream=lambda _reason: None,
                log=logging.getLogger("test"),
                batched_calls=lambda: batched_calls_of(transport),
            )
        finally:
            await transport.close()


def completion() -> Completion:
    response = messages.ActivityResponse(task_id=1, result="1", completion_token="t")
    return Completion(
        work_item_from(activity_item("greet")), methods.COMPLETE_ACTIVITY_TASK, response
    )


def never_abandon(_item: WorkItem) -> Completion:
    raise AssertionError("the completion can be delivered")


async def test_a_completion_that_is_not_answered_in_time_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sidecar = BatchingSidecar()
    async with delivering(sidecar) as delivery:
        # The first attempt is late before it is answered, however slow this machine is.
        monkeypatch.setattr(_delivery, "ATTEMPT_TIMEOUT", 0.05)
        delivered = asyncio.create_task(delivery.deliver(completion(), never_abandon))
        first = await within(sidecar.next_call())
        monkeypatch.undo()

        second = await within(sidecar.next_call())
        await sidecar.reply(id=second.id, responses=[ACCEPTED])

        await within(delivered)

    assert first.id != second.id
    assert (first.method, first.request) == (second.method, second.request)


async def test_a_first_attempt_that_ends_with_deadline_exceeded_is_repeated() -> None:
    sidecar = BatchingSidecar()
    answers: asyncio.Queue[Exception | None] = asyncio.Queue()
    async with delivering(sidecar) as delivery:
        assert delivery.send(completion(), lambda _response, error: answers.put_nowait(error))
        first = await within(sidecar.next_call())
        await sidecar.reply(id=first.id, status="DEADLINE_EXCEEDED", details="too late")
        error = await within(answers.get())
        delivered = asyncio.create_task(delivery.deliver(completion(), never_abandon, error))

        second = await within(sidecar.next_call())
        await sidecar.reply(id=second.id, responses=[ACCEPTED])

        await within(delivered)

    assert (first.method, first.request) == (second.method, second.request)


async def test_a_first_attempt_without_an_answer_ends_with_its_connection() -> None:
    sidecar = BatchingSidecar()
    answers: asyncio.Queue[Exception | None] = asyncio.Queue()
    async with delivering(sidecar) as delivery:
        delivery.send(completion(), lambda _response, error: answers.put_nowait(error))
        await within(sidecar.next_call())
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()
        error = await within(answers.get())

    assert isinstance(error, SidecarUnavailableError)
    assert error.refusal.status == "UNAVAILABLE"
