"""Calls over real gRPC, to a server whose handlers know nothing but bytes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from durabletask.grpc_options import GrpcChannelOptions
from durabletask.protocol import codec, dialects, messages, methods
from durabletask.transport import (
    async_calls,
    async_io,
    channel,
    grpc_async_transport,
    grpc_transport,
    sync_calls,
    sync_io,
)
from durabletask.transport.errors import (
    InstanceNotFoundError,
    ProtocolError,
    SidecarError,
    SidecarUnavailableError,
)
from durabletask.transport.limits import ChannelHealth
from tests.builders.transport import QuickClock, answers, never, raw_sidecar, refuses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ORDER_1 = messages.GetInstanceRequest(instance_id="order-1")
FOUND = messages.GetInstanceResponse(
    exists=True, orchestration_state=messages.OrchestrationState(name="sum")
)
FOUND_RAW = codec.encode(FOUND, dialects.TASKHUB)
HISTORY = messages.StreamInstanceHistoryRequest(instance_id="order-1")


class Line:
    """One of the two transports; its calls leave the test's loop to the server."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.error_base = grpc.aio.AioRpcError if is_async else grpc.RpcError

    def to(self, address: str | None = None, **settings: Any) -> Any:
        return (grpc_async_transport if self.is_async else grpc_transport)(address, **settings)

    def with_clock(self, address: str, clock: QuickClock) -> Any:
        """A transport whose pauses take no time."""
        settings: Any = {
            "metadata": (),
            "dialect": dialects.TASKHUB,
            "patience": 0.8,
            "health": ChannelHealth(),
            "clock": clock,
        }
        if self.is_async:
            return async_calls.GrpcAsyncTransport(
                async_io.channel_source(address, False, None, None, None), **settings
            )
        return sync_calls.GrpcTransport(
            sync_io.channel_source(address, False, None, None, None), **settings
        )

    def channel(self, address: str) -> Any:
        make = grpc.aio.insecure_channel if self.is_async else grpc.insecure_channel
        return make(address, [("grpc.enable_http_proxy", 0)])

    async def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.is_async:
            return await function(*args, **options)
        return await asyncio.to_thread(function, *args, **options)

    async def drain(self, stream: Any) -> list[bytes]:
        """All that comes until the stream ends."""
        if self.is_async:
            return [raw async for raw in stream]
        return await asyncio.to_thread(list, stream)


@pytest.fixture(params=["sync", "async"])
def line(request: pytest.FixtureRequest) -> Line:
    return Line(is_async=request.param == "async")


@pytest.fixture
def nobodys_address() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    return f"127.0.0.1:{port}"


async def test_a_message_goes_out_and_a_message_comes_back(line: Line) -> None:
    arrived: list[bytes] = []

    async def handler(request: bytes, _context: Any) -> bytes:
        arrived.append(request)
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = line.to(address)
        response = await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert response == FOUND
    assert arrived == [codec.encode(ORDER_1, dialects.TASKHUB)]


async def test_metadata_of_transport_and_call_arrive_together(line: Line) -> None:
    seen: dict[str, Any] = {}

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.update(context.invocation_metadata())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = line.to(address, metadata=[("taskhub", "blue")])
        await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1, metadata=(("trace", "7"),))
        await line.run(transport.close)

    assert (seen["taskhub"], seen["trace"]) == ("blue", "7")


class AddsTeam(grpc.UnaryUnaryClientInterceptor):
    """An interceptor as users of gRPC write them."""

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        metadata = [*client_call_details.metadata, ("team", "blue")]
        return continuation(client_call_details._replace(metadata=metadata), request)


class AddsTeamAsync(grpc.aio.UnaryUnaryClientInterceptor):
    """The same for an event loop."""

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        client_call_details.metadata.add("team", "blue")
        return await continuation(client_call_details, request)


async def test_interceptors_take_part_in_every_call(line: Line) -> None:
    seen: dict[str, Any] = {}

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.update(context.invocation_metadata())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        interceptor = AddsTeamAsync() if line.is_async else AddsTeam()
        transport = line.to(address, interceptors=[interceptor])
        await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert seen["team"] == "blue"


async def test_each_channel_has_connections_of_its_own(line: Line) -> None:
    """Else a channel that is made anew would get the broken ones again."""
    peers: list[str] = []

    async def handler(_request: bytes, context: Any) -> bytes:
        peers.append(context.peer())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transports = [line.to(address), line.to(address)]
        for transport in transports:
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        for transport in transports:
            await line.run(transport.close)

    assert peers[0] != peers[1]


async def test_a_call_without_a_timeout_has_a_deadline_all_the_same(line: Line) -> None:
    left: list[float] = []

    async def handler(_request: bytes, context: Any) -> bytes:
        left.append(context.time_remaining())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = line.to(address)
        await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    # A little more than 30 is left: the server counts in whole milliseconds of its own clock.
    assert 0 < left[0] < 31


async def test_a_refusal_is_an_error_of_ours_and_of_grpcs(line: Line) -> None:
    async with raw_sidecar(RaiseEvent=refuses("NOT_FOUND", "who?")) as address:
        transport = line.to(address)
        with pytest.raises(InstanceNotFoundError, match=r"'order-1'") as raised:
            await line.run(
                transport.unary,
                methods.RAISE_EVENT,
                messages.RaiseEventRequest(instance_id="order-1", name="Approval"),
            )
        await line.run(transport.close)

    assert isinstance(raised.value, line.error_base)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "who?"
    assert raised.value.address == address


async def test_an_answer_that_never_comes_ends_with_the_deadline(line: Line) -> None:
    async with raw_sidecar(GetInstance=never) as address:
        transport = line.to(address)
        with pytest.raises(
            SidecarUnavailableError, match=r"did not answer.*within 0\.05 s"
        ) as raised:
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1, timeout=0.05)
        await line.run(transport.close)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("raw", [b"\xff", FOUND_RAW[:-1], b"\x12\x7fshort"])
async def test_bytes_that_are_no_response_are_a_protocol_error(line: Line, raw: bytes) -> None:
    async with raw_sidecar(GetInstance=answers(raw)) as address:
        transport = line.to(address)
        with pytest.raises(ProtocolError) as raised:
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert isinstance(raised.value, line.error_base)
    for word in (address, "GetInstance", "not a GetInstanceResponse", f"{len(raw)} bytes"):
        assert word in str(raised.value)


async def test_a_method_the_sidecar_does_not_know_is_a_protocol_error(line: Line) -> None:
    async with raw_sidecar() as address:
        transport = line.to(address)
        with pytest.raises(ProtocolError, match="does not have the method GetInstance"):
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        (methods.GET_INSTANCE, ORDER_1),
        (methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1),
        (methods.RAISE_EVENT, messages.RaiseEventRequest(instance_id="order-1", name="go")),
    ],
    ids=["read", "wait", "event"],
)
async def test_a_refused_connection_is_an_error_within_a_second(
    line: Line, nobodys_address: str, method: methods.Method, request_: Any
) -> None:
    clock = QuickClock()
    transport = line.with_clock(nobodys_address, clock)

    with pytest.raises(SidecarUnavailableError) as raised:
        await line.run(transport.unary, method, request_, timeout=60)
    await line.run(transport.close)

    assert len(clock.pauses) >= 2
    assert sum(clock.pauses) < 1
    port = nobodys_address.partition(":")[2]
    for word in (nobodys_address, f"durabletask-sidecar --port {port}", "DURABLETASK_ENDPOINT"):
        assert word in str(raised.value)


async def test_a_read_is_repeated_until_the_sidecar_is_back(line: Line) -> None:
    attempts: list[bytes] = []

    async def handler(request: bytes, context: Any) -> bytes:
        attempts.append(request)
        if len(attempts) < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = line.with_clock(address, QuickClock())
        response = await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert response == FOUND
    assert len(attempts) == 3


async def test_a_stream_is_collected_and_begun_anew_when_it_breaks(line: Line) -> None:
    attempts: list[bytes] = []
    chunks = [
        messages.HistoryChunk(events=[messages.HistoryEvent(event_id=number)]) for number in (1, 2)
    ]

    async def handler(request: bytes, context: Any) -> AsyncIterator[bytes]:
        attempts.append(request)
        yield codec.encode(chunks[0], dialects.TASKHUB)
        if len(attempts) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        yield codec.encode(chunks[1], dialects.TASKHUB)

    async with raw_sidecar(streams={"StreamInstanceHistory": handler}) as address:
        transport = line.with_clock(address, QuickClock())
        responses = await line.run(transport.collect, methods.STREAM_INSTANCE_HISTORY, HISTORY)
        await line.run(transport.close)

    assert responses == chunks
    assert attempts == [codec.encode(HISTORY, dialects.TASKHUB)] * 2


async def test_a_stream_that_never_ends_has_a_deadline_when_it_is_collected(line: Line) -> None:
    async def handler(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    async with raw_sidecar(streams={"StreamInstanceHistory": handler}) as address:
        transport = line.to(address)
        with pytest.raises(SidecarUnavailableError, match=r"StreamInstanceHistory.*within 0\.05 s"):
            await line.run(
                transport.collect, methods.STREAM_INSTANCE_HISTORY, HISTORY, timeout=0.05
            )
        await line.run(transport.close)


async def test_collected_bytes_that_are_no_response_are_a_protocol_error(line: Line) -> None:
    async def handler(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"\xff"

    async with raw_sidecar(streams={"StreamInstanceHistory": handler}) as address:
        transport = line.to(address)
        with pytest.raises(ProtocolError, match="not a HistoryChunk") as raised:
            await line.run(transport.collect, methods.STREAM_INSTANCE_HISTORY, HISTORY)
        await line.run(transport.close)

    assert isinstance(raised.value, line.error_base)


async def test_a_refusal_of_many_instances_names_none(line: Line) -> None:
    many = messages.PurgeInstancesRequest(purge_instance_filter=messages.PurgeInstanceFilter())

    async with raw_sidecar(PurgeInstances=refuses("INVALID_ARGUMENT", "no")) as address:
        transport = line.to(address)
        with pytest.raises(SidecarError, match="refused PurgeInstances: no") as raised:
            await line.run(transport.unary, methods.PURGE_INSTANCES, many)
        await line.run(transport.close)

    assert raised.value.instance_id == ""


async def test_a_start_is_repeated_with_the_same_id(line: Line) -> None:
    ids: list[str] = []

    async def handler(request: bytes, context: Any) -> bytes:
        started = codec.decode(messages.CreateInstanceRequest, request, dialects.TASKHUB)
        ids.append(started.instance_id)
        if len(ids) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        return codec.encode(messages.CreateInstanceResponse(instance_id=ids[-1]), dialects.TASKHUB)

    async with raw_sidecar(StartInstance=handler) as address:
        transport = line.with_clock(address, QuickClock())
        await line.run(
            transport.unary,
            methods.START_INSTANCE,
            messages.CreateInstanceRequest(instance_id="order-1", name="sum"),
        )
        await line.run(transport.close)

    assert ids == ["order-1", "order-1"]


async def test_an_event_that_may_have_arrived_is_not_sent_again(line: Line) -> None:
    arrived: list[bytes] = []

    async def handler(request: bytes, context: Any) -> bytes:
        arrived.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        raise AssertionError("abort raises")

    async with raw_sidecar(RaiseEvent=handler) as address:
        transport = line.with_clock(address, QuickClock())
        with pytest.raises(SidecarUnavailableError):
            await line.run(
                transport.unary,
                methods.RAISE_EVENT,
                messages.RaiseEventRequest(instance_id="order-1", name="go"),
            )
        await line.run(transport.close)

    assert len(arrived) == 1


async def test_a_response_may_be_larger_than_grpcs_own_limit(line: Line) -> None:
    large = messages.GetInstanceResponse(
        exists=True, orchestration_state=messages.OrchestrationState(output="x" * 5_000_000)
    )
    async with raw_sidecar(GetInstance=answers(codec.encode(large, dialects.TASKHUB))) as address:
        transport = line.to(address)
        response = await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert response == large


async def test_a_response_over_the_limit_says_so(line: Line) -> None:
    options = GrpcChannelOptions(max_receive_message_length=100)
    async with raw_sidecar(GetInstance=answers(b"\x12" * 101)) as address:
        transport = line.to(address, channel_options=options)
        with pytest.raises(SidecarError, match=r"RESOURCE_EXHAUSTED.*channel_options") as raised:
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert "100" in str(raised.value)


async def test_a_closed_transport_refuses_calls(line: Line) -> None:
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        transport = line.to(address)
        await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)
        await line.run(transport.close)

        with pytest.raises(RuntimeError, match="The client is closed"):
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)


async def test_closing_ends_a_call_under_way(line: Line) -> None:
    under_way = asyncio.Event()

    async def handler(request: bytes, context: Any) -> bytes:
        under_way.set()
        return await never(request, context)

    async with raw_sidecar(GetInstance=handler) as address:
        transport = line.to(address)
        call = asyncio.ensure_future(
            line.run(transport.unary, methods.GET_INSTANCE, ORDER_1, timeout=60)
        )
        await under_way.wait()
        await line.run(transport.close)

        with pytest.raises(RuntimeError, match="closed"):
            await call


async def test_a_channel_of_the_callers_outlives_the_transport(line: Line) -> None:
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        given = line.channel(address)
        first, second = line.to(channel=given), line.to(channel=given)
        await line.run(first.close)

        assert await line.run(first.unary, methods.GET_INSTANCE, ORDER_1) == FOUND
        assert await line.run(second.unary, methods.GET_INSTANCE, ORDER_1) == FOUND
        await line.run(given.close)


async def test_metadata_belongs_to_a_channel_of_our_own_only(line: Line) -> None:
    seen: list[str] = []

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.extend(key for key, _ in context.invocation_metadata())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        given = line.channel(address)
        transport = line.to(channel=given, metadata=[("taskhub", "blue")])
        await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(given.close)

    assert "taskhub" not in seen


async def test_loopback_is_called_directly_whatever_proxy_is_set(
    line: Line, nobodys_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{nobodys_address}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        transport = line.to(address)
        response = await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await line.run(transport.close)

    assert response == FOUND


async def two_then_wait(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"
    await asyncio.Event().wait()


async def two_then_fail(_request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"
    await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")


async def two(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


def collect(transport: Any, into: list[bytes]) -> None:
    into.extend(transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest()))


async def collect_async(transport: Any, into: list[bytes]) -> None:
    async for raw in transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest()):
        into.append(raw)  # noqa: PERF401 - what came before a failure counts


def collector(line: Line) -> Callable[..., Any]:
    return collect_async if line.is_async else collect


async def test_a_stream_gives_the_bytes_that_arrived(line: Line) -> None:
    received: list[bytes] = []
    async with raw_sidecar(streams={"GetWorkItems": two}) as address:
        transport = line.to(address)
        await line.run(collector(line), transport, received)
        await line.run(transport.close)

    assert received == [b"one", b"two"]


async def test_a_stream_that_breaks_is_an_error_of_ours(line: Line) -> None:
    received: list[bytes] = []
    async with raw_sidecar(streams={"GetWorkItems": two_then_fail}) as address:
        transport = line.to(address)
        with pytest.raises(SidecarUnavailableError, match="going away") as raised:
            await line.run(collector(line), transport, received)
        await line.run(transport.close)

    assert isinstance(raised.value, line.error_base)


async def test_a_stream_that_is_closed_ends_for_whoever_waits_on_it(line: Line) -> None:
    async with raw_sidecar(streams={"GetWorkItems": two_then_wait}) as address:
        transport = line.to(address)
        if line.is_async:
            stream = transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest())
            received = [await anext(stream), await anext(stream)]
            waiting = asyncio.ensure_future(anext(stream, b"end"))
            await asyncio.sleep(0)
            await stream.aclose()
        else:
            stream = transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest())
            received = [await asyncio.to_thread(next, stream) for _ in range(2)]
            waiting = asyncio.ensure_future(asyncio.to_thread(next, stream, b"end"))
            stream.close()

        assert await waiting == b"end"
        await line.run(transport.close)

    assert received == [b"one", b"two"]


async def test_a_stream_that_is_reset_when_its_time_is_over_timed_out(line: Line) -> None:
    clock = QuickClock()

    async def resets(request: bytes, context: Any) -> bytes:
        clock.time += 5
        return await refuses("UNAVAILABLE", "Received RST_STREAM with error code 8")(
            request, context
        )

    async with raw_sidecar(WaitForInstanceCompletion=resets) as address:
        transport = line.with_clock(address, clock)
        with pytest.raises(SidecarUnavailableError, match="within 5 s") as raised:
            await line.run(
                transport.unary, methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1, timeout=5
            )
        await line.run(transport.close)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_without_a_deadline_that_is_reset_has_not_timed_out(line: Line) -> None:
    """Work items come for days; the time that other calls have is long over then."""
    clock = QuickClock()

    async def resets(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        clock.time += 3600
        await context.abort(grpc.StatusCode.UNAVAILABLE, "Received RST_STREAM with error code 2")

    async with raw_sidecar(streams={"GetWorkItems": resets}) as address:
        transport = line.with_clock(address, clock)
        stream = transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest())
        with pytest.raises(SidecarUnavailableError) as raised:
            await line.drain(stream)
        await line.run(transport.close)

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_cancelling_a_task_cancels_its_call() -> None:
    under_way = asyncio.Event()

    async def handler(request: bytes, context: Any) -> bytes:
        under_way.set()
        return await never(request, context)

    async with raw_sidecar(GetInstance=handler) as address:
        transport = grpc_async_transport(address)
        call = asyncio.ensure_future(transport.unary(methods.GET_INSTANCE, ORDER_1))
        await under_way.wait()
        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call
        await transport.close()


def test_an_async_transport_may_be_used_by_one_loop_after_the_other() -> None:
    transport = None

    async def once() -> Any:
        nonlocal transport
        async with raw_sidecar(address=address, GetInstance=answers(FOUND_RAW)):
            transport = transport or grpc_async_transport(address)
            return await transport.unary(methods.GET_INSTANCE, ORDER_1)

    async def free_address() -> str:
        async with raw_sidecar() as found:
            return found

    address = asyncio.run(free_address())

    assert asyncio.run(once()) == FOUND
    assert asyncio.run(once()) == FOUND


class Owner:
    """Stands in for the process or loop that a channel belongs to."""

    def __init__(self) -> None:
        self.id = 1

    def __call__(self) -> int:
        return self.id


class Channel:
    """A channel that nobody calls."""


def own_channel(owner: Owner) -> Any:
    made: Any = channel.OwnChannel("sidecar.test:4001", Channel, owner, threading.Lock)
    return made


def test_a_channel_is_made_once_and_when_it_is_needed() -> None:
    source = own_channel(Owner())

    assert source.connection() is source.connection()


def test_threads_that_come_first_at_once_share_the_channel_that_was_kept_first() -> None:
    others: list[Any] = []

    def make() -> Any:
        if not others:
            others.append(None)
            others.append(source.connection())
        return Channel()

    source: Any = channel.OwnChannel("sidecar.test:4001", make, Owner(), threading.Lock)

    assert source.connection() is others[1]
    assert source.take() is others[1].channel


def test_a_channel_is_made_anew_in_another_process() -> None:
    owner = Owner()
    source = own_channel(owner)
    parents = source.connection()

    owner.id = 2

    assert source.connection().channel is not parents.channel


def test_a_forked_process_leaves_its_parents_channel_alone() -> None:
    owner = Owner()
    source = own_channel(owner)
    source.connection()

    owner.id = 2

    assert source.take() is None


def test_our_channels_belong_to_the_process_that_made_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = Owner()
    monkeypatch.setattr(os, "getpid", process)
    source = sync_io.channel_source("localhost:1", False, None, None, None)
    parents = source.connection()

    process.id = 2

    assert source.connection() is not parents


async def test_failures_in_a_row_make_a_new_channel(line: Line, nobodys_address: str) -> None:
    health = ChannelHealth(threshold=2)
    transport = line.to(nobodys_address, patience=0, health=health)
    before = transport.source.connection()

    for _ in range(2):
        with pytest.raises(SidecarUnavailableError):
            await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)

    assert transport.source.connection() is not before
    await line.run(transport.close)


async def test_a_wait_that_takes_too_long_says_nothing_against_the_channel(line: Line) -> None:
    async with raw_sidecar(WaitForInstanceCompletion=never) as address:
        transport = line.to(address, health=ChannelHealth(threshold=1))
        before = transport.source.connection()

        with pytest.raises(SidecarUnavailableError):
            await line.run(
                transport.unary, methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1, timeout=0.05
            )

        assert transport.source.connection() is before
        await line.run(transport.close)


async def test_a_wait_is_patient_with_a_sidecar_that_was_there_before(line: Line) -> None:
    clock = QuickClock()
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        transport = line.with_clock(address, clock)
        await line.run(transport.unary, methods.GET_INSTANCE, ORDER_1)

    with pytest.raises(SidecarUnavailableError):
        await line.run(transport.unary, methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1, timeout=60)
    await line.run(transport.close)

    assert 29 < sum(clock.pauses) < 30
