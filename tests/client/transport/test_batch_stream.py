"""When calls go in batches on one stream, and that they mean what they mean by themselves."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from durabletask.grpc_options import GrpcChannelOptions
from durabletask.protocol import batch_stream, codec, dialects, messages, methods
from durabletask.protocol.metadata_keys import MAX_MESSAGE_KEY
from durabletask.transport import grpc_async_transport
from durabletask.transport.async_batch_stream import AsyncBatchStream
from durabletask.transport.async_batched_calls import AsyncBatchedCalls, unary_in_batch
from durabletask.transport.batched_calls import batched_calls_of
from durabletask.transport.errors import (
    InstanceNotFoundError,
    ProtocolError,
    SidecarUnavailableError,
)
from tests.builders.batch_sidecar import FOUND, FOUND_RAW, OFFER, BatchingSidecar, serving
from tests.builders.transport import QuickClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ORDER_1 = messages.GetInstanceRequest(instance_id="order-1")
EVENT = messages.RaiseEventRequest(instance_id="order-1", name="go")
WORK = messages.GetWorkItemsRequest()


@asynccontextmanager
async def connected(sidecar: BatchingSidecar, **settings: Any) -> AsyncIterator[Any]:
    """A transport that knows the engine, and whose stream is open if there is to be one."""
    async with serving(sidecar):
        transport: Any = grpc_async_transport(sidecar.address, patience=0, **settings)
        try:
            await transport.identify_engine()
            await opened(transport)
            yield transport
        finally:
            await transport.close()


async def opened(transport: Any) -> None:
    """Wait until it is decided whether there is a stream."""
    calls = batched_calls_of(transport)
    stream = None if calls is None else calls.stream_to_use()  # type: ignore[attr-defined]
    if stream is not None:
        await stream.decided


async def test_a_call_goes_on_the_stream_and_its_response_comes_back() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        answer = asyncio.create_task(transport.unary(methods.GET_INSTANCE, ORDER_1))
        call = await sidecar.call()
        await sidecar.reply(id=call.id, responses=[FOUND_RAW])

        assert await answer == FOUND

    assert (call.method, call.request) == (
        "GetInstance",
        codec.encode(ORDER_1, dialects.TASKHUB),
    )
    assert sidecar.alone == []


async def test_calls_that_are_made_at_once_go_in_one_batch() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        answers = [
            asyncio.create_task(transport.unary(methods.GET_INSTANCE, ORDER_1)) for _ in range(50)
        ]
        batch = await sidecar.arrived.get()
        for call in batch.calls:
            await sidecar.reply(id=call.id, responses=[FOUND_RAW])
        await asyncio.gather(*answers)

    assert len(batch.calls) == 50


@pytest.mark.parametrize(
    "sidecar",
    [
        BatchingSidecar(offers=()),
        BatchingSidecar(offers=((batch_stream.OFFER_KEY, "many"),)),
        BatchingSidecar(offers=((batch_stream.OFFER_KEY, "0"),)),
    ],
    ids=["an older sidecar", "no number", "none"],
)
async def test_no_stream_is_asked_for_where_none_is_offered(sidecar: BatchingSidecar) -> None:
    async with connected(sidecar) as transport:
        assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND
        assert batched_calls_of(transport) is None

    assert sidecar.asked == 0


async def test_an_engine_of_another_vendor_is_not_asked_whatever_it_says() -> None:
    sidecar = BatchingSidecar()

    async def hello(_request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("x-durabletask-engine", "theirs/1"), OFFER))
        return b""

    sidecar.unary["Hello"] = hello
    async with connected(sidecar) as transport:
        assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND

    assert sidecar.asked == 0


class Passes(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(client_call_details, request)


async def test_interceptors_see_every_call_by_itself() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar, interceptors=[Passes()]) as transport:
        assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND

    assert sidecar.asked == 0


async def test_a_channel_of_the_callers_sees_every_call_by_itself() -> None:
    sidecar = BatchingSidecar()
    async with serving(sidecar), grpc.aio.insecure_channel(sidecar.address) as channel:
        transport = grpc_async_transport(channel=channel)

        assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND

    assert sidecar.asked == 0


async def test_the_environment_may_forbid_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLETASK_BATCH_STREAM", "0")
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND

    assert sidecar.asked == 0


async def test_a_stream_that_is_not_served_is_asked_for_once_and_calls_are_made_without() -> None:
    sidecar = BatchingSidecar(serves=False)
    async with connected(sidecar) as transport:
        for _ in range(3):
            assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND

    assert (len(sidecar.alone), sidecar.asked) == (3, 1)


async def test_calls_are_made_by_themselves_while_a_stream_is_not_open_yet() -> None:
    sidecar = BatchingSidecar(admits=False)
    async with serving(sidecar):
        transport = grpc_async_transport(sidecar.address)
        for _ in range(3):
            assert await transport.unary(methods.GET_INSTANCE, ORDER_1) == FOUND
        await transport.close()

    assert len(sidecar.alone) == 3


async def test_a_request_that_is_too_large_for_a_batch_is_a_call_by_itself() -> None:
    sidecar = BatchingSidecar(offers=((batch_stream.OFFER_KEY, "1000"),))
    large = messages.RaiseEventRequest(instance_id="order-1", name="go", input="x" * 1000)
    async with connected(sidecar) as transport:
        await transport.unary(methods.RAISE_EVENT, large)

    assert sidecar.alone == [codec.encode(large, dialects.TASKHUB)]


async def test_a_call_whose_metadata_is_too_large_for_a_batch_is_a_call_by_itself() -> None:
    sidecar = BatchingSidecar(offers=((batch_stream.OFFER_KEY, "1000"),))
    async with connected(sidecar) as transport:
        await transport.unary(methods.RAISE_EVENT, EVENT, metadata=(("trace", "7" * 1000),))

    assert len(sidecar.alone) == 1


async def test_a_refusal_is_the_error_that_the_call_by_itself_raises() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        answer = asyncio.create_task(transport.unary(methods.RAISE_EVENT, EVENT))
        call = await sidecar.call()
        await sidecar.reply(id=call.id, status="NOT_FOUND", details="who?")

        with pytest.raises(InstanceNotFoundError, match="'order-1'") as raised:
            await answer

    assert isinstance(raised.value, grpc.aio.AioRpcError)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.NOT_FOUND, "who?")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"status": "A_NEW_ONE", "details": "?"}, "A_NEW_ONE|UNKNOWN"),
        ({}, "without a response"),
        ({"responses": [b"\xff"]}, "cannot be decoded"),
    ],
    ids=["an unknown status", "no response", "no message"],
)
async def test_a_strange_reply_costs_its_call_and_no_other(
    reply: dict[str, Any], expected: str
) -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        bad = asyncio.create_task(transport.unary(methods.RAISE_EVENT, EVENT))
        call = await sidecar.call()
        good = asyncio.create_task(transport.unary(methods.GET_INSTANCE, ORDER_1))
        other = await sidecar.call()
        await sidecar.reply(id=call.id, **reply)
        await sidecar.reply(id=other.id, responses=[FOUND_RAW])

        with pytest.raises(grpc.aio.AioRpcError, match=expected):
            await bad
        assert await good == FOUND


async def test_an_event_that_was_on_its_way_when_the_stream_broke_is_not_sent_again() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        answer = asyncio.create_task(transport.unary(methods.RAISE_EVENT, EVENT))
        await sidecar.call()
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()

        with pytest.raises(SidecarUnavailableError, match="Socket closed"):
            await answer

    assert sidecar.alone == []


async def test_a_read_that_was_on_its_way_when_the_stream_broke_is_repeated() -> None:
    sidecar = BatchingSidecar()
    async with serving(sidecar):
        transport: Any = grpc_async_transport(sidecar.address)
        await transport.identify_engine()
        await opened(transport)
        answer = asyncio.create_task(transport.unary(methods.GET_INSTANCE, ORDER_1))
        await sidecar.call()
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()

        assert await answer == FOUND
        await transport.close()


async def test_a_broken_stream_is_opened_again_for_a_worker_at_once() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)
        await sidecar.call()
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()
        await heard.next()
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)

        assert (await sidecar.call()).method == "GetWorkItems"

    assert len(sidecar.streams) == 2


async def test_a_stream_that_failed_is_not_opened_again_for_each_call_of_a_worker() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls: Any = batched_calls_of(transport)
        calls.transport.clock = QuickClock()
        heard = Heard()
        calls.call(methods.RAISE_EVENT, EVENT, heard.answered)
        await sidecar.call()
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()
        await heard.next()
        for _ in range(3):
            calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered)

            assert await heard.next() == (FOUND, None)

    assert (sidecar.asked, len(sidecar.alone)) == (1, 3)


async def test_the_deadline_ends_a_call_here_and_there() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        with pytest.raises(SidecarUnavailableError, match=r"within 0\.05 s") as raised:
            await transport.unary(methods.GET_INSTANCE, ORDER_1, timeout=0.05)
        call = await sidecar.call()
        batch = await sidecar.arrived.get()

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert batch.cancelled == [call.id]


async def test_a_caller_that_is_cancelled_ends_its_call_there() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        answer = asyncio.create_task(transport.unary(methods.GET_INSTANCE, ORDER_1))
        call = await sidecar.call()
        answer.cancel()
        batch = await sidecar.arrived.get()

    assert answer.cancelled()
    assert batch.cancelled == [call.id]


async def test_closing_ends_a_call_in_progress() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        answer = asyncio.create_task(transport.unary(methods.GET_INSTANCE, ORDER_1))
        await sidecar.call()
        await transport.close()

        with pytest.raises(RuntimeError, match="closed"):
            await answer


async def test_a_transport_that_is_forgotten_ends_its_stream() -> None:
    sidecar = BatchingSidecar()
    async with serving(sidecar):
        transport: Any = grpc_async_transport(sidecar.address)
        await transport.identify_engine()
        await opened(transport)
        ended = asyncio.Event()
        sidecar.streams[0].add_done_callback(lambda _: ended.set())

        del transport

        await ended.wait()


async def test_metadata_goes_with_the_stream_and_that_of_a_call_with_the_call() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar, metadata=[("taskhub", "blue")]) as transport:
        answer = asyncio.create_task(
            transport.unary(methods.GET_INSTANCE, ORDER_1, metadata=(("trace", "7"),))
        )
        call = await sidecar.call()
        await sidecar.reply(id=call.id, responses=[FOUND_RAW])
        await answer
        of_stream = dict(sidecar.streams[0].invocation_metadata())

    assert of_stream["taskhub"] == "blue"
    assert batch_stream.from_entries(call.metadata) == {"trace": "7"}


async def test_the_stream_says_how_large_a_message_may_be() -> None:
    sidecar = BatchingSidecar()
    options = GrpcChannelOptions(max_receive_message_length=5000)
    async with connected(sidecar, channel_options=options):
        of_stream = dict(sidecar.streams[0].invocation_metadata())

    assert of_stream[MAX_MESSAGE_KEY] == "5000"


class Heard:
    """What callbacks were given, for one call after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Any] = asyncio.Queue()

    def _tell(self, *told: Any) -> None:
        self._loop.call_soon_threadsafe(self._told.put_nowait, told)

    def answered(self, response: Any, error: Exception | None) -> None:
        self._tell(response, error)

    def received(self, responses: Any) -> None:
        self._tell("received", list(responses))

    def ended(self, error: Any) -> None:
        self._tell("ended", error)

    async def next(self) -> Any:
        return await self._told.get()


def on_thread(function: Callable[[], Any]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


async def test_a_call_from_another_thread_is_answered_by_its_callback() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        on_thread(lambda: calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered))
        call = await sidecar.call()
        await sidecar.reply(id=call.id, responses=[FOUND_RAW])

        assert await heard.next() == (FOUND, None)


async def test_calls_of_other_threads_need_one_wake_up_and_go_in_one_batch() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        on_thread(
            lambda: [calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered) for _ in range(20)]
        )

        batch = await sidecar.arrived.get()

    assert len(batch.calls) == 20


async def test_a_callback_is_told_once_of_a_call_that_is_not_answered_in_time() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        known: Any = batched_calls_of(transport)
        grpc_calls = known.transport
        calls = AsyncBatchedCalls(grpc_calls, grpc_calls.source.connection(), timeout=0.05)
        heard = Heard()
        calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered)
        call = await sidecar.call()
        batch = await sidecar.arrived.get()
        await sidecar.reply(id=call.id, responses=[FOUND_RAW])
        known.call(methods.RAISE_EVENT, EVENT, heard.answered)
        last = await sidecar.call()
        await sidecar.reply(id=last.id, status="NOT_FOUND")

        errors = [(await heard.next())[1], (await heard.next())[1]]

    assert batch.cancelled == [call.id]
    assert [type(error).__name__ for error in errors] == [
        "SidecarUnavailableError",
        "InstanceNotFoundError",
    ]
    assert "GetInstance of instance 'order-1' within 0.05 s" in str(errors[0])


async def test_a_request_that_cannot_be_encoded_is_answered_with_that() -> None:
    async with connected(BatchingSidecar()) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        bad = messages.RaiseEventRequest(instance_id="\ud800")
        calls.call(methods.RAISE_EVENT, bad, heard.answered)

        response, error = await heard.next()

    assert response is None
    assert isinstance(error, codec.EncodeError)


async def test_a_refused_call_is_answered_with_the_error_of_the_call_by_itself() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.call(methods.RAISE_EVENT, EVENT, heard.answered)
        call = await sidecar.call()
        await sidecar.reply(id=call.id, status="NOT_FOUND", details="who?")

        _, error = await heard.next()

    assert isinstance(error, InstanceNotFoundError)
    assert error.instance_id == "order-1"


async def test_a_response_that_is_no_message_is_a_protocol_error() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered)
        call = await sidecar.call()
        await sidecar.reply(id=call.id, responses=[b"\xff"])

        _, error = await heard.next()

    assert isinstance(error, ProtocolError)


async def test_admission_alone_is_no_response_to_a_call_that_needs_one() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        answer = asyncio.create_task(transport.unary(methods.RAISE_EVENT, EVENT))
        calls.call(methods.RAISE_EVENT, EVENT, heard.answered)
        for call in (await sidecar.next_call(), await sidecar.next_call()):
            await sidecar.reply(id=call.id, is_more_to_come=True)
            await sidecar.reply(id=call.id)

        with pytest.raises(grpc.aio.AioRpcError, match="without a response"):
            await answer
        _, error = await heard.next()

    assert "without a response" in str(error)


async def test_work_items_come_as_they_are_ready_and_then_the_end() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)
        call = await sidecar.call()
        await sidecar.reply(id=call.id, is_more_to_come=True)
        await sidecar.reply(id=call.id, responses=[b"1", b"2"], is_more_to_come=True)
        await sidecar.reply(id=call.id)

        assert await heard.next() == ("received", [])
        assert await heard.next() == ("received", [b"1", b"2"])
        assert await heard.next() == ("ended", None)


async def test_a_cancelled_stream_tells_nothing_more() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        cancel = calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)
        call = await sidecar.call()
        on_thread(cancel)
        batch = await sidecar.arrived.get()
        await sidecar.reply(id=call.id, responses=[b"1"])
        calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered)
        last = await sidecar.call()
        await sidecar.reply(id=last.id, responses=[FOUND_RAW])

        assert batch.cancelled == [call.id]
        assert await heard.next() == (FOUND, None)


async def test_when_the_stream_breaks_all_that_wait_on_it_are_told() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.call(methods.RAISE_EVENT, EVENT, heard.answered)
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)
        await sidecar.arrived.get()
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()

        errors = [(await heard.next())[-1], (await heard.next())[-1]]

    assert [type(error).__mro__[1] for error in errors] == [SidecarUnavailableError] * 2


async def test_when_the_transport_is_closed_all_that_wait_on_it_are_told() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.call(methods.RAISE_EVENT, EVENT, heard.answered)
        await sidecar.arrived.get()
        await transport.close()

        _, error = await heard.next()

    assert isinstance(error, SidecarUnavailableError)
    assert f"The connection to {sidecar.address} was closed during the call." in str(error)


async def test_where_no_stream_is_served_a_workers_calls_are_made_one_by_one() -> None:
    sidecar = BatchingSidecar(serves=False)

    async def work_items(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    sidecar.streaming["GetWorkItems"] = work_items
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered)
        assert await heard.next() == (FOUND, None)
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)

        assert await heard.next() == ("received", [b"1"])
        assert await heard.next() == ("received", [b"2"])
        assert await heard.next() == ("ended", None)


async def one_work_item(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    yield b"1"
    await asyncio.Event().wait()


async def test_closing_the_transport_fails_a_stream_that_goes_by_itself() -> None:
    sidecar = BatchingSidecar(serves=False)
    sidecar.streaming["GetWorkItems"] = one_work_item
    async with connected(sidecar) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)
        assert await heard.next() == ("received", [b"1"])

        await transport.close()

        assert isinstance((await heard.next())[1], SidecarUnavailableError)


async def test_calls_on_a_closed_transport_are_answered_with_that() -> None:
    async with connected(BatchingSidecar()) as transport:
        calls, heard = batched_calls_of(transport), Heard()
        assert calls is not None
        await transport.close()

        calls.call(methods.GET_INSTANCE, ORDER_1, heard.answered)
        calls.stream(methods.GET_WORK_ITEMS, WORK, heard.received, heard.ended)
        errors = [(await heard.next())[1], (await heard.next())[1]]

    assert [(type(each), str(each)) for each in errors] == [
        (RuntimeError, "The client is closed")
    ] * 2


class Alone:
    """A transport of which only calls by themselves matter."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def unary(self, *_call: Any, **_options: Any) -> Any:
        """Never ends."""
        await asyncio.Event().wait()

    async def stream(self, *_call: Any, **_options: Any) -> AsyncIterator[bytes]:
        """All of them are there at once."""
        yield b"1"
        yield b"2"


def by_themselves(transport: Any) -> Any:
    """The calls of a transport whose sidecar serves no batch stream."""
    known: Any = batched_calls_of(transport)
    alone: Any = Alone(known.transport)
    return AsyncBatchedCalls(alone, alone.source.connection())


async def test_a_stream_by_itself_that_is_cancelled_tells_nothing_more() -> None:
    async with connected(BatchingSidecar(serves=False)) as transport:
        told: list[Any] = []

        def received(responses: Any) -> None:
            told.extend(responses)
            on_thread(cancel)

        others = asyncio.all_tasks()
        cancel = by_themselves(transport).stream(
            methods.GET_WORK_ITEMS, WORK, received, told.append
        )
        await asyncio.wait(asyncio.all_tasks() - others)

    assert told == [b"1"]


async def test_a_call_by_itself_fails_when_the_tasks_of_its_loop_are_cancelled() -> None:
    async with connected(BatchingSidecar(serves=False)) as transport:
        heard, others = Heard(), asyncio.all_tasks()
        by_themselves(transport).call(methods.GET_INSTANCE, ORDER_1, heard.answered)
        for task in asyncio.all_tasks() - others:
            task.cancel()

        assert isinstance((await heard.next())[1], SidecarUnavailableError)


class BrokenRpc:
    """A stream of gRPC whose connection breaks while the first batch is written."""

    def __init__(self) -> None:
        self._broken = asyncio.Event()

    async def initial_metadata(self) -> Any:
        return (OFFER,)

    async def write(self, _batch: bytes) -> None:
        self._broken.set()
        raise self._error()

    async def read(self) -> bytes:
        await self._broken.wait()
        raise self._error()

    def cancel(self) -> None: ...

    def _error(self) -> grpc.aio.AioRpcError:
        nothing = grpc.aio.Metadata()
        return grpc.aio.AioRpcError(
            grpc.StatusCode.INTERNAL, nothing, nothing, "Internal error from Core"
        )


async def test_calls_of_a_batch_whose_write_failed_are_unavailable() -> None:
    stream = AsyncBatchStream(BrokenRpc, 10_000, lambda *_: None)
    await stream.decided

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await unary_in_batch(stream, methods.GET_INSTANCE, b"", 10, ())

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


class StrangeRpc(BrokenRpc):
    """A stream of gRPC from which reading fails as no one foresaw."""

    async def write(self, _batch: bytes) -> None:
        self._broken.set()

    async def read(self) -> bytes:
        await self._broken.wait()
        raise LookupError("no such queue")


async def test_calls_on_a_stream_that_breaks_are_told_the_real_reason() -> None:
    stream = AsyncBatchStream(StrangeRpc, 10_000, lambda *_: None)
    heard = Heard()
    await stream.decided
    stream.call(methods.GET_INSTANCE, b"", heard)

    _, failure = await heard.next()

    assert (failure.status, "no such queue" in failure.details) == ("UNAVAILABLE", True)


class SilentRpc:
    """A stream of gRPC that is never admitted."""

    def __init__(self, answers: list[bytes], *, has_metadata: bool) -> None:
        self._answers = answers
        self._has_metadata = has_metadata

    async def initial_metadata(self) -> Any:
        if not self._has_metadata:
            await asyncio.Event().wait()
        return ()

    async def read(self) -> bytes:
        if not self._answers:
            await asyncio.Event().wait()
        return self._answers.pop()

    def cancel(self) -> None: ...


@pytest.mark.parametrize(
    ("answers", "has_metadata"),
    [([], False), ([], True), ([b"?"], True)],
    ids=["says nothing", "offers nothing", "speaks otherwise"],
)
async def test_a_stream_that_the_sidecar_does_not_admit_is_given_up(
    answers: list[bytes], *, has_metadata: bool
) -> None:
    def make() -> SilentRpc:
        return SilentRpc(answers, has_metadata=has_metadata)

    stream = AsyncBatchStream(make, 10_000, lambda *_: None, opening_timeout=0.01)
    await stream.decided

    assert stream.failure is not None
    assert (stream.failure.status, stream.is_open) == ("DEADLINE_EXCEEDED", False)
