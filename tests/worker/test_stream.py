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
from tests.builders.worker import ManualClock, ScriptedSidecar, peer, refusal, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

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


class Bench:
    """A loop with everything around it in a test's hands."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sidecar = ScriptedSidecar()
        self.received: list[bytes] = []
        self.receive: Callable[[bytes], Awaitable[None]] = self._remember
        self.states: list[ConnectionState] = []
        self.times_closed = 0
        self.loop = WorkItemStream(
            "the scripted sidecar",
            transport=lambda: self.sidecar,
            close_transport=self._close_transport,
            identify_engine=self._identify_engine,
            request=lambda _peer: messages.GetWorkItemsRequest(
                max_concurrent_activity_work_items=7
            ),
            metadata=lambda: (("key", "value"),),
            receive=self._receive,
            on_state_change=lambda state, _error: self.states.append(state),
            resilience=GrpcWorkerResiliencyOptions(silent_disconnect_timeout_seconds=SILENCE),
            clock=self.clock,
            draw=lambda: 0.5,
            log=logging.getLogger("test"),
        )
        self.running = asyncio.create_task(self.loop.run())

    async def let_it_dial(self) -> float:
        """Let the wait before the next dial pass; how long it was."""
        await settle()
        wait = self.clock.waits[0]
        await self.clock.advance(wait)
        return wait

    async def _identify_engine(self) -> ConnectedEngine:
        return peer(await self.sidecar.identify_engine())

    async def _receive(self, raw: bytes, _peer: ConnectedEngine) -> None:
        await self.receive(raw)

    async def _remember(self, raw: bytes) -> None:
        self.received.append(raw)

    async def _close_transport(self) -> None:
        self.times_closed += 1


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await bench.running


async def test_it_says_hello_and_asks_for_work_with_its_limits(bench: Bench) -> None:
    stream = await bench.sidecar.opened()

    assert bench.sidecar.requests(methods.HELLO) == [messages.Empty()]
    assert stream.request.max_concurrent_activity_work_items == 7
    assert stream.metadata == (("key", "value"),)
    await settle()
    assert bench.states == [ConnectionState.CONNECTING, ConnectionState.STREAMING]


async def test_messages_are_received_in_order(bench: Bench) -> None:
    stream = await bench.sidecar.opened()

    for raw in (b"1", b"2", b"3"):
        stream.send(raw)
    await settle()

    assert bench.received == [b"1", b"2", b"3"]


@pytest.mark.parametrize("status", EVERY_STATUS)
async def test_a_stream_that_breaks_is_opened_anew_whatever_the_status(
    bench: Bench, status: str
) -> None:
    stream = await bench.sidecar.opened()
    stream.fail(refusal(status))
    await settle()
    await bench.clock.advance(1)

    again = await bench.sidecar.opened(2)
    again.send(b"work")
    await settle()

    assert stream.is_closed
    assert bench.received == [b"work"]


async def test_an_error_of_no_known_kind_ends_nothing_either(bench: Bench) -> None:
    (await bench.sidecar.opened()).fail(OSError("no route to host"))
    await settle()
    await bench.clock.advance(1)

    assert await bench.sidecar.opened(2)


async def test_a_goodbye_is_followed_by_the_next_dial_at_once(bench: Bench) -> None:
    (await bench.sidecar.opened()).end()

    assert await bench.sidecar.opened(2)


async def test_while_nobody_answers_it_dials_ever_more_rarely(bench: Bench) -> None:
    bench.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 8)

    waits = [await bench.let_it_dial() for _ in range(8)]

    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert await bench.sidecar.opened()


async def test_after_five_failures_in_a_row_the_channel_is_made_anew(bench: Bench) -> None:
    bench.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 5)
    for _ in range(4):
        await bench.let_it_dial()
    assert bench.times_closed == 0

    await bench.let_it_dial()

    assert bench.times_closed == 1
    assert await bench.sidecar.opened()


async def test_a_stream_that_falls_silent_is_opened_anew(bench: Bench) -> None:
    stream = await bench.sidecar.opened()
    await settle()

    await bench.clock.advance(SILENCE)
    await bench.clock.advance(1)

    assert await bench.sidecar.opened(2)
    assert stream.is_closed


async def test_after_a_silence_the_channel_is_made_anew_at_once(bench: Bench) -> None:
    await bench.sidecar.opened()
    await settle()

    await bench.clock.advance(SILENCE)
    await bench.let_it_dial()

    assert bench.times_closed == 1


async def test_a_sidecar_that_does_not_answer_is_called_on_another_channel(bench: Bench) -> None:
    bench.sidecar.refuse(methods.HELLO, refusal("DEADLINE_EXCEEDED"))

    await bench.let_it_dial()

    assert bench.times_closed == 1
    assert await bench.sidecar.opened()


async def test_a_stream_that_ends_at_its_deadline_has_not_been_silent(bench: Bench) -> None:
    (await bench.sidecar.opened()).fail(refusal("DEADLINE_EXCEEDED"))

    await bench.let_it_dial()

    assert bench.times_closed == 0
    assert await bench.sidecar.opened(2)


async def test_the_silence_of_one_stream_is_not_held_against_the_next(bench: Bench) -> None:
    await bench.sidecar.opened()
    await settle()
    await bench.clock.advance(SILENCE)
    await bench.let_it_dial()

    await bench.clock.advance(SILENCE - 1)

    assert len(bench.sidecar.streams) == 2


async def test_a_stream_that_has_ended_is_watched_no_more(bench: Bench) -> None:
    (await bench.sidecar.opened()).end()
    await bench.sidecar.opened(2)
    await settle()

    assert bench.clock.waits == [SILENCE]


async def test_any_message_ends_the_silence(bench: Bench) -> None:
    stream = await bench.sidecar.opened()
    await settle()
    for _ in range(5):
        await bench.clock.advance(SILENCE - 1)
        stream.send(b"a ping, for example")
        await settle()

    assert len(bench.sidecar.streams) == 1


async def test_the_time_that_the_worker_itself_is_busy_is_no_silence(bench: Bench) -> None:
    has_room = asyncio.Event()

    async def wait_for_room(_raw: bytes) -> None:
        await has_room.wait()

    bench.receive = wait_for_room
    stream = await bench.sidecar.opened()
    stream.send(b"one too many")
    await settle()

    await bench.clock.advance(10 * SILENCE)
    has_room.set()
    await settle()
    await bench.clock.advance(SILENCE - 1)
    assert len(bench.sidecar.streams) == 1

    await bench.clock.advance(SILENCE)
    await bench.let_it_dial()
    assert len(bench.sidecar.streams) == 2


async def test_a_message_that_cannot_be_taken_does_not_cost_the_stream(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def choke(raw: bytes) -> None:
        if raw == b"bad":
            raise ValueError("what is this?")
        bench.received.append(raw)

    bench.receive = choke
    stream = await bench.sidecar.opened()

    stream.send(b"bad")
    stream.send(b"good")
    await settle()

    assert bench.received == [b"good"]
    assert len(bench.sidecar.streams) == 1
    assert "what is this?" in caplog.text


async def test_while_draining_the_stream_is_held_and_its_work_left_alone(bench: Bench) -> None:
    stream = await bench.sidecar.opened()
    await settle()

    bench.loop.drain()
    stream.send(b"too late")
    await settle()

    assert bench.received == []
    assert not stream.is_closed


async def test_a_stream_that_is_lost_while_draining_is_not_opened_again(bench: Bench) -> None:
    stream = await bench.sidecar.opened()
    await settle()

    bench.loop.drain()
    stream.fail(refusal("UNAVAILABLE"))

    await asyncio.wait_for(bench.running, 10)
    assert len(bench.sidecar.streams) == 1


async def test_a_loop_that_is_cancelled_closes_its_stream(bench: Bench) -> None:
    stream = await bench.sidecar.opened()
    await settle()

    bench.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bench.running

    assert stream.is_closed


async def test_the_thousandth_failure_is_not_as_loud_as_the_first(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 100)
    for _ in range(99):
        await bench.let_it_dial()

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 7


async def test_a_sidecar_that_is_full_is_asked_ever_less_often_and_told_of_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    waits = []
    for attempt in range(1, 9):
        stream = await bench.sidecar.opened(attempt)
        stream.fail(refusal("RESOURCE_EXHAUSTED", "the limit is 1 (--max-streams)"))
        waits.append(await bench.let_it_dial())
    stream = await bench.sidecar.opened(9)
    stream.send(b"work")
    await settle()

    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    connected, full, admitted = (each.getMessage() for each in caplog.records)
    assert connected.startswith("Worker connected to")
    assert "--max-streams" in full
    assert admitted == "The sidecar at the scripted sidecar has room for this worker now"


async def test_a_sidecar_that_is_full_again_is_told_of_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for attempt, status in enumerate(["RESOURCE_EXHAUSTED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"]):
        stream = await bench.sidecar.opened(attempt + 1)
        stream.fail(refusal(status))
        await bench.let_it_dial()

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 3


@pytest.mark.parametrize(
    ("message", "seconds", "wait"),
    [(b"work", 0, 0.5), (None, 5, 0.5), (None, 4, 4)],
    ids=["it carried a message", "it stood for a while", "neither"],
)
async def test_a_stream_that_lasted_makes_good_for_the_failures_before_it(
    bench: Bench, message: bytes | None, seconds: float, wait: float
) -> None:
    bench.sidecar.refuse(methods.HELLO, *[refusal("UNAVAILABLE")] * 3)
    for _ in range(3):
        await bench.let_it_dial()
    stream = await bench.sidecar.opened()
    if message:
        stream.send(message)
    await settle()
    await bench.clock.advance(seconds)

    stream.fail(refusal("UNAVAILABLE"))

    assert await bench.let_it_dial() == wait


async def test_a_loop_that_is_told_to_drain_while_it_waits_dials_no_more(bench: Bench) -> None:
    bench.sidecar.refuse(methods.HELLO, refusal("UNAVAILABLE"))
    await settle()

    bench.loop.drain()
    await bench.let_it_dial()

    await asyncio.wait_for(bench.running, 10)
    assert len(bench.sidecar.requests(methods.HELLO)) == 1
