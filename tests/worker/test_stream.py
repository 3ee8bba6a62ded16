from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import pytest

from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.protocol import messages, methods
from durabletask.worker._connection import ConnectionState
from durabletask.worker._stream import WorkItemStream
from tests.builders.worker import (
    ManualLoopClock,
    ScriptedSidecar,
    connected_engine,
    refusal,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from durabletask.worker._work_items import ConnectedEngine

SILENCE = 120.0
EVERY_STATUS = [
    "UNAVAILABLE",
    "CANCELLED",
    "INTERNAL",
    "DEADLINE_EXCEEDED",
    "UNAUTHENTICATED",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
    "UNKNOWN",
]


class StreamHarness:
    """A work item stream whose surroundings a test controls."""

    def __init__(self) -> None:
        self.clock = ManualLoopClock()
        self.sidecar = ScriptedSidecar()
        self.received: list[bytes] = []
        self.receive: Callable[[bytes], Awaitable[None]] = self._remember
        self.states: list[ConnectionState] = []
        self.times_closed = 0
        self.work_item_stream = WorkItemStream(
            "the scripted sidecar",
            transport=lambda: self.sidecar,
            close_transport=self._close_transport,
            identify_engine=self._identify_engine,
            request=lambda _engine: messages.GetWorkItemsRequest(
                max_concurrent_activity_work_items=7
            ),
            metadata=lambda: (("key", "value"),),
            receive=self._receive,
            receive_batch=self._receive_batch,
            on_state_change=lambda state, _error: self.states.append(state),
            resilience=GrpcWorkerResiliencyOptions(silent_disconnect_timeout_seconds=SILENCE),
            clock=self.clock,
            draw=lambda: 0.5,
            log=logging.getLogger("test"),
        )
        self.running = asyncio.create_task(self.work_item_stream.run())

    async def let_it_connect(self) -> float:
        """Let the delay before the next attempt pass; how long it was."""
        await settle()
        wait = self.clock.waits[0]
        await self.clock.advance(wait)
        return wait

    async def _identify_engine(self) -> ConnectedEngine:
        return connected_engine(await self.sidecar.identify_engine())

    async def _receive(self, raw: bytes, _engine: ConnectedEngine) -> None:
        await self.receive(raw)

    def _receive_batch(
        self, messages: Sequence[bytes], _engine: ConnectedEngine
    ) -> Sequence[bytes]:
        self.received += messages
        return ()

    async def _remember(self, raw: bytes) -> None:
        self.received.append(raw)

    async def _close_transport(self) -> None:
        self.times_closed += 1


@pytest.fixture
async def harness() -> AsyncIterator[StreamHarness]:
    harness = StreamHarness()
    yield harness
    harness.running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await harness.running


async def test_it_says_hello_and_asks_for_work_with_its_limits(harness: StreamHarness) -> None:
    stream = await harness.sidecar.opened()

    assert harness.sidecar.requests(methods.HELLO) == [messages.Empty()]
    assert stream.request.max_concurrent_activity_work_items == 7
    assert stream.metadata == (("key", "value"),)
    await settle()
    assert harness.states == [ConnectionState.CONNECTING, ConnectionState.STREAMING]


async def test_messages_are_received_in_order(harness: StreamHarness) -> None:
    stream = await harness.sidecar.opened()

    for raw in (b"1", b"2", b"3"):
        stream.send(raw)
    await settle()

    assert harness.received == [b"1", b"2", b"3"]


@pytest.mark.parametrize("status", EVERY_STATUS)
async def test_a_stream_that_breaks_is_opened_anew_whatever_the_status(
    harness: StreamHarness, status: str
) -> None:
    stream = await harness.sidecar.opened()
    stream.fail(refusal(status))
    await settle()
    await harness.clock.advance(1)

    again = await harness.sidecar.opened(2)
    again.send(b"work")
    await settle()

    assert stream.is_closed
    assert harness.received == [b"work"]


async def test_an_error_of_an_unknown_kind_is_followed_by_another_attempt(
    harness: StreamHarness,
) -> None:
    (await harness.sidecar.opened()).fail(OSError("no route to host"))
    await settle()
    await harness.clock.advance(1)

    assert await harness.sidecar.opened(2)


async def test_after_the_server_ends_the_stream_the_worker_reconnects_at_once(
    harness: StreamHarness,
) -> None:
    (await harness.sidecar.opened()).end()

    assert await harness.sidecar.opened(2)


async def test_while_nobody_answers_the_delays_between_attempts_grow(
    harness: StreamHarness,
) -> None:
    harness.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 8)

    waits = [await harness.let_it_connect() for _ in range(8)]

    assert waits == [1, 2, 4, 8, 15, 15, 15, 15]
    assert await harness.sidecar.opened()


async def test_after_five_failures_in_a_row_the_channel_is_replaced(harness: StreamHarness) -> None:
    harness.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 5)
    for _ in range(4):
        await harness.let_it_connect()
    assert harness.times_closed == 0

    await harness.let_it_connect()

    assert harness.times_closed == 1
    assert await harness.sidecar.opened()


async def test_a_stream_that_falls_silent_is_opened_anew(harness: StreamHarness) -> None:
    stream = await harness.sidecar.opened()
    await settle()

    await harness.clock.advance(SILENCE)
    await harness.clock.advance(1)

    assert await harness.sidecar.opened(2)
    assert stream.is_closed


async def test_after_a_silence_the_channel_is_replaced_at_once(harness: StreamHarness) -> None:
    await harness.sidecar.opened()
    await settle()

    await harness.clock.advance(SILENCE)
    await harness.let_it_connect()

    assert harness.times_closed == 1


async def test_a_sidecar_that_does_not_answer_is_called_on_another_channel(
    harness: StreamHarness,
) -> None:
    harness.sidecar.refuse(methods.HELLO, refusal("DEADLINE_EXCEEDED"))

    await harness.let_it_connect()

    assert harness.times_closed == 1
    assert await harness.sidecar.opened()


async def test_a_stream_that_ends_at_its_deadline_was_not_silent(harness: StreamHarness) -> None:
    (await harness.sidecar.opened()).fail(refusal("DEADLINE_EXCEEDED"))

    await harness.let_it_connect()

    assert harness.times_closed == 0
    assert await harness.sidecar.opened(2)


async def test_the_silence_of_one_stream_does_not_count_for_the_next(
    harness: StreamHarness,
) -> None:
    await harness.sidecar.opened()
    await settle()
    await harness.clock.advance(SILENCE)
    await harness.let_it_connect()

    await harness.clock.advance(SILENCE - 1)

    assert len(harness.sidecar.streams) == 2


async def test_a_stream_that_has_ended_is_watched_no_more(harness: StreamHarness) -> None:
    (await harness.sidecar.opened()).end()
    await harness.sidecar.opened(2)
    await settle()

    assert harness.clock.waits == [SILENCE]


async def test_any_message_ends_the_silence(harness: StreamHarness) -> None:
    stream = await harness.sidecar.opened()
    await settle()
    for _ in range(5):
        await harness.clock.advance(SILENCE - 1)
        stream.send(b"a ping, for example")
        await settle()

    assert len(harness.sidecar.streams) == 1


async def test_the_time_that_the_worker_itself_is_busy_does_not_count_as_silence(
    harness: StreamHarness,
) -> None:
    has_room = asyncio.Event()

    async def wait_for_room(_raw: bytes) -> None:
        await has_room.wait()

    harness.receive = wait_for_room
    stream = await harness.sidecar.opened()
    stream.send(b"one too many")
    await settle()

    await harness.clock.advance(10 * SILENCE)
    has_room.set()
    await settle()
    await harness.clock.advance(SILENCE - 1)
    assert len(harness.sidecar.streams) == 1

    await harness.clock.advance(SILENCE)
    await harness.let_it_connect()
    assert len(harness.sidecar.streams) == 2


async def test_a_message_that_cannot_be_handled_does_not_end_the_stream(
    harness: StreamHarness, caplog: pytest.LogCaptureFixture
) -> None:
    async def choke(raw: bytes) -> None:
        if raw == b"bad":
            raise ValueError("what is this?")
        harness.received.append(raw)

    harness.receive = choke
    stream = await harness.sidecar.opened()

    stream.send(b"bad")
    stream.send(b"good")
    await settle()

    assert harness.received == [b"good"]
    assert len(harness.sidecar.streams) == 1
    assert "what is this?" in caplog.text


async def test_while_draining_the_stream_is_held_open_and_its_work_ignored(
    harness: StreamHarness,
) -> None:
    stream = await harness.sidecar.opened()
    await settle()

    harness.work_item_stream.drain()
    stream.send(b"too late")
    await settle()

    assert harness.received == []
    assert not stream.is_closed


async def test_a_stream_that_is_lost_while_draining_is_not_opened_again(
    harness: StreamHarness,
) -> None:
    stream = await harness.sidecar.opened()
    await settle()

    harness.work_item_stream.drain()
    stream.fail(refusal("UNAVAILABLE"))

    await asyncio.wait_for(harness.running, 10)
    assert len(harness.sidecar.streams) == 1


async def test_a_worker_that_is_cancelled_closes_its_stream(harness: StreamHarness) -> None:
    stream = await harness.sidecar.opened()
    await settle()

    harness.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await harness.running

    assert stream.is_closed


async def test_later_failures_are_logged_as_warnings_ever_less_often(
    harness: StreamHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 100)
    for _ in range(99):
        await harness.let_it_connect()

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [vars(each)["attempt"] for each in warnings] == [1, 2, 4, 8, 16, 32, 64]
    assert {vars(each)["address"] for each in warnings} == {"the scripted sidecar"}
    assert {vars(each)["status"] for each in warnings} == {"UNAVAILABLE"}


async def test_a_full_sidecar_is_called_ever_less_often_and_logged_once(
    harness: StreamHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    waits = []
    for attempt in range(1, 9):
        stream = await harness.sidecar.opened(attempt)
        stream.fail(refusal("RESOURCE_EXHAUSTED", "the limit is 1 (--max-streams)"))
        waits.append(await harness.let_it_connect())
    stream = await harness.sidecar.opened(9)
    stream.send(b"work")
    await settle()

    assert waits == [1, 2, 4, 8, 15, 15, 15, 15]
    connected, full, admitted = (each.getMessage() for each in caplog.records)
    assert connected.startswith("Worker connected to")
    assert "--max-streams" in full
    assert admitted == "The sidecar at the scripted sidecar has room for this worker now"


async def test_a_sidecar_that_is_full_again_is_logged_again(
    harness: StreamHarness, caplog: pytest.LogCaptureFixture
) -> None:
    for attempt, status in enumerate(["RESOURCE_EXHAUSTED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"]):
        stream = await harness.sidecar.opened(attempt + 1)
        stream.fail(refusal(status))
        await harness.let_it_connect()

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 3


@pytest.mark.parametrize(
    ("message", "seconds", "wait"),
    [(b"work", 0, 1), (None, 5, 1), (None, 4, 8)],
    ids=["it carried a message", "it stood for a while", "neither"],
)
async def test_a_stream_that_was_stable_resets_the_failures_before_it(
    harness: StreamHarness, message: bytes | None, seconds: float, wait: float
) -> None:
    harness.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 3)
    for _ in range(3):
        await harness.let_it_connect()
    stream = await harness.sidecar.opened()
    if message:
        stream.send(message)
    await settle()
    await harness.clock.advance(seconds)

    stream.fail(refusal("UNAVAILABLE"))

    assert await harness.let_it_connect() == wait


async def test_a_worker_that_drains_during_the_delay_does_not_connect_again(
    harness: StreamHarness,
) -> None:
    harness.sidecar.refuse(methods.HELLO, refusal("UNAVAILABLE"))
    await settle()

    harness.work_item_stream.drain()
    await harness.let_it_connect()

    await asyncio.wait_for(harness.running, 10)
    assert len(harness.sidecar.requests(methods.HELLO)) == 1
