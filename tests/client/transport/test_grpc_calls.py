"""Calls over real gRPC, to a server whose handlers take and return bytes."""

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
    channel,
    grpc_async_transport,
    sync_io,
)
from durabletask.transport.errors import (
    InstanceNotFoundError,
    ProtocolError,
    SidecarError,
    SidecarUnavailableError,
)
from durabletask.transport.limits import ChannelHealth
from tests.builders.transport import QuickClock, TransportKind, answers, never, raw_sidecar, refuses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ORDER_1 = messages.GetInstanceRequest(instance_id="order-1")
FOUND = messages.GetInstanceResponse(
    exists=True, orchestration_state=messages.OrchestrationState(name="sum")
)
FOUND_RAW = codec.encode(FOUND, dialects.TASKHUB)
HISTORY = messages.StreamInstanceHistoryRequest(instance_id="order-1")


@pytest.fixture
def nobodys_address() -> str:
    """An address of this machine where no server listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    return f"127.0.0.1:{port}"


async def test_a_request_is_sent_and_its_response_returned(kind: TransportKind) -> None:
    arrived: list[bytes] = []

    async def handler(request: bytes, _context: Any) -> bytes:
        arrived.append(request)
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = kind.connect(address)
        response = await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    assert response == FOUND
    assert arrived == [codec.encode(ORDER_1, dialects.TASKHUB)]


async def test_metadata_of_transport_and_call_arrive_together(kind: TransportKind) -> None:
    seen: dict[str, Any] = {}

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.update(context.invocation_metadata())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = kind.connect(address, metadata=[("taskhub", "blue")])
        await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1, metadata=(("trace", "7"),))
        await kind.run(transport.close)

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


async def test_interceptors_take_part_in_every_call(kind: TransportKind) -> None:
    seen: dict[str, Any] = {}

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.update(context.invocation_metadata())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        interceptor = AddsTeamAsync() if kind.is_async else AddsTeam()
        transport = kind.connect(address, interceptors=[interceptor])
        await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    assert seen["team"] == "blue"


async def test_each_channel_has_connections_of_its_own(kind: TransportKind) -> None:
    """Otherwise a new channel would get the broken connections of the old one."""
    peers: list[str] = []

    async def handler(_request: bytes, context: Any) -> bytes:
        peers.append(context.peer())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transports = [kind.connect(address), kind.connect(address)]
        for transport in transports:
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        for transport in transports:
            await kind.run(transport.close)

    assert peers[0] != peers[1]


async def test_a_call_without_a_timeout_has_the_default_deadline(kind: TransportKind) -> None:
    left: list[float] = []

    async def handler(_request: bytes, context: Any) -> bytes:
        left.append(context.time_remaining())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = kind.connect(address)
        await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    # A little more than 30 is left: the server counts in whole milliseconds of its own clock.
    assert 0 < left[0] < 31


async def test_a_refusal_is_an_error_of_ours_and_of_grpc(kind: TransportKind) -> None:
    async with raw_sidecar(RaiseEvent=refuses("NOT_FOUND", "who?")) as address:
        transport = kind.connect(address)
        with pytest.raises(InstanceNotFoundError, match=r"'order-1'") as raised:
            await kind.run(
                transport.unary,
                methods.RAISE_EVENT,
                messages.RaiseEventRequest(instance_id="order-1", name="Approval"),
            )
        await kind.run(transport.close)

    assert isinstance(raised.value, kind.error_base)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "who?"
    assert raised.value.address == address


async def test_an_answer_that_never_comes_ends_with_the_deadline(kind: TransportKind) -> None:
    async with raw_sidecar(GetInstance=never) as address:
        transport = kind.connect(address)
        with pytest.raises(
            SidecarUnavailableError, match=r"did not answer.*within 0\.05 s"
        ) as raised:
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1, timeout=0.05)
        await kind.run(transport.close)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("raw", [b"\xff", FOUND_RAW[:-1], b"\x12\x7fshort"])
async def test_bytes_that_cannot_be_decoded_are_a_protocol_error(
    kind: TransportKind, raw: bytes
) -> None:
    async with raw_sidecar(GetInstance=answers(raw)) as address:
        transport = kind.connect(address)
        with pytest.raises(ProtocolError) as raised:
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    assert isinstance(raised.value, kind.error_base)
    for word in (address, "GetInstance", "not a GetInstanceResponse", f"{len(raw)} bytes"):
        assert word in str(raised.value)


async def test_a_method_that_the_sidecar_lacks_is_a_protocol_error(kind: TransportKind) -> None:
    async with raw_sidecar() as address:
        transport = kind.connect(address)
        with pytest.raises(ProtocolError, match="does not have the method GetInstance"):
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)


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
    kind: TransportKind, nobodys_address: str, method: methods.Method, request_: Any
) -> None:
    clock = QuickClock()
    transport = kind.with_clock(nobodys_address, clock)

    with pytest.raises(SidecarUnavailableError) as raised:
        await kind.run(transport.unary, method, request_, timeout=60)
    await kind.run(transport.close)

    assert len(clock.pauses) >= 2
    assert sum(clock.pauses) < 1
    port = nobodys_address.partition(":")[2]
    for word in (nobodys_address, f"durabletask-sidecar --port {port}", "DURABLETASK_ENDPOINT"):
        assert word in str(raised.value)


async def test_a_read_is_repeated_until_the_sidecar_is_back(kind: TransportKind) -> None:
    attempts: list[bytes] = []

    async def handler(request: bytes, context: Any) -> bytes:
        attempts.append(request)
        if len(attempts) < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        transport = kind.with_clock(address, QuickClock())
        response = await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    assert response == FOUND
    assert len(attempts) == 3


async def test_a_stream_is_collected_and_begun_anew_when_it_breaks(kind: TransportKind) -> None:
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
        transport = kind.with_clock(address, QuickClock())
        responses = await kind.run(transport.collect, methods.STREAM_INSTANCE_HISTORY, HISTORY)
        await kind.run(transport.close)

    assert responses == chunks
    assert attempts == [codec.encode(HISTORY, dialects.TASKHUB)] * 2


async def test_a_stream_that_never_ends_has_a_deadline_when_it_is_collected(
    kind: TransportKind,
) -> None:
    async def handler(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    async with raw_sidecar(streams={"StreamInstanceHistory": handler}) as address:
        transport = kind.connect(address)
        with pytest.raises(SidecarUnavailableError, match=r"StreamInstanceHistory.*within 0\.05 s"):
            await kind.run(
                transport.collect, methods.STREAM_INSTANCE_HISTORY, HISTORY, timeout=0.05
            )
        await kind.run(transport.close)


async def test_collected_bytes_that_cannot_be_decoded_are_a_protocol_error(
    kind: TransportKind,
) -> None:
    async def handler(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"\xff"

    async with raw_sidecar(streams={"StreamInstanceHistory": handler}) as address:
        transport = kind.connect(address)
        with pytest.raises(ProtocolError, match="not a HistoryChunk") as raised:
            await kind.run(transport.collect, methods.STREAM_INSTANCE_HISTORY, HISTORY)
        await kind.run(transport.close)

    assert isinstance(raised.value, kind.error_base)


async def test_a_refusal_of_many_instances_names_none(kind: TransportKind) -> None:
    many = messages.PurgeInstancesRequest(purge_instance_filter=messages.PurgeInstanceFilter())

    async with raw_sidecar(PurgeInstances=refuses("INVALID_ARGUMENT", "no")) as address:
        transport = kind.connect(address)
        with pytest.raises(SidecarError, match="refused PurgeInstances: no") as raised:
            await kind.run(transport.unary, methods.PURGE_INSTANCES, many)
        await kind.run(transport.close)

    assert raised.value.instance_id == ""


async def test_a_start_is_repeated_with_the_same_id(kind: TransportKind) -> None:
    ids: list[str] = []

    async def handler(request: bytes, context: Any) -> bytes:
        started = codec.decode(messages.CreateInstanceRequest, request, dialects.TASKHUB)
        ids.append(started.instance_id)
        if len(ids) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        return codec.encode(messages.CreateInstanceResponse(instance_id=ids[-1]), dialects.TASKHUB)

    async with raw_sidecar(StartInstance=handler) as address:
        transport = kind.with_clock(address, QuickClock())
        await kind.run(
            transport.unary,
            methods.START_INSTANCE,
            messages.CreateInstanceRequest(instance_id="order-1", name="sum"),
        )
        await kind.run(transport.close)

    assert ids == ["order-1", "order-1"]


async def test_an_event_that_may_have_arrived_is_not_sent_again(kind: TransportKind) -> None:
    arrived: list[bytes] = []

    async def handler(request: bytes, context: Any) -> bytes:
        arrived.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        raise AssertionError("abort raises")

    async with raw_sidecar(RaiseEvent=handler) as address:
        transport = kind.with_clock(address, QuickClock())
        with pytest.raises(SidecarUnavailableError):
            await kind.run(
                transport.unary,
                methods.RAISE_EVENT,
                messages.RaiseEventRequest(instance_id="order-1", name="go"),
            )
        await kind.run(transport.close)

    assert len(arrived) == 1


async def test_a_response_may_be_larger_than_grpcs_own_limit(kind: TransportKind) -> None:
    large = messages.GetInstanceResponse(
        exists=True, orchestration_state=messages.OrchestrationState(output="x" * 5_000_000)
    )
    async with raw_sidecar(GetInstance=answers(codec.encode(large, dialects.TASKHUB))) as address:
        transport = kind.connect(address)
        response = await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    assert response == large


async def test_a_response_over_the_limit_says_so(kind: TransportKind) -> None:
    options = GrpcChannelOptions(max_receive_message_length=100)
    async with raw_sidecar(GetInstance=answers(b"\x12" * 101)) as address:
        transport = kind.connect(address, channel_options=options)
        with pytest.raises(SidecarError, match=r"RESOURCE_EXHAUSTED.*channel_options") as raised:
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

    assert "100" in str(raised.value)


async def test_a_closed_transport_refuses_calls(kind: TransportKind) -> None:
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        transport = kind.connect(address)
        await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)
        await kind.run(transport.close)

        with pytest.raises(RuntimeError, match="The client is closed"):
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)


async def test_closing_ends_a_call_in_progress(kind: TransportKind) -> None:
    under_way = asyncio.Event()

    async def handler(request: bytes, context: Any) -> bytes:
        under_way.set()
        return await never(request, context)

    async with raw_sidecar(GetInstance=handler) as address:
        transport = kind.connect(address)
        call = asyncio.ensure_future(
            kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1, timeout=60)
        )
        await under_way.wait()
        await kind.run(transport.close)

        with pytest.raises(RuntimeError, match="closed"):
            await call


async def test_a_channel_of_the_callers_outlives_the_transport(kind: TransportKind) -> None:
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        given = kind.channel(address)
        first, second = kind.connect(channel=given), kind.connect(channel=given)
        await kind.run(first.close)

        assert await kind.run(first.unary, methods.GET_INSTANCE, ORDER_1) == FOUND
        assert await kind.run(second.unary, methods.GET_INSTANCE, ORDER_1) == FOUND
        await kind.run(given.close)


async def test_metadata_belongs_to_a_channel_of_our_own_only(kind: TransportKind) -> None:
    seen: list[str] = []

    async def handler(_request: bytes, context: Any) -> bytes:
        seen.extend(key for key, _ in context.invocation_metadata())
        return FOUND_RAW

    async with raw_sidecar(GetInstance=handler) as address:
        given = kind.channel(address)
        transport = kind.connect(channel=given, metadata=[("taskhub", "blue")])
        await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(given.close)

    assert "taskhub" not in seen


async def test_loopback_is_called_without_the_proxy(
    kind: TransportKind, nobodys_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{nobodys_address}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        transport = kind.connect(address)
        response = await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)
        await kind.run(transport.close)

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


def collector(kind: TransportKind) -> Callable[..., Any]:
    return collect_async if kind.is_async else collect


async def test_a_stream_yields_the_bytes_that_arrived(kind: TransportKind) -> None:
    received: list[bytes] = []
    async with raw_sidecar(streams={"GetWorkItems": two}) as address:
        transport = kind.connect(address)
        await kind.run(collector(kind), transport, received)
        await kind.run(transport.close)

    assert received == [b"one", b"two"]


async def test_a_stream_that_breaks_is_an_error_of_ours(kind: TransportKind) -> None:
    received: list[bytes] = []
    async with raw_sidecar(streams={"GetWorkItems": two_then_fail}) as address:
        transport = kind.connect(address)
        with pytest.raises(SidecarUnavailableError, match="going away") as raised:
            await kind.run(collector(kind), transport, received)
        await kind.run(transport.close)

    assert isinstance(raised.value, kind.error_base)


async def test_closing_a_stream_ends_a_pending_read(kind: TransportKind) -> None:
    async with raw_sidecar(streams={"GetWorkItems": two_then_wait}) as address:
        transport = kind.connect(address)
        if kind.is_async:
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
        await kind.run(transport.close)

    assert received == [b"one", b"two"]


async def test_a_stream_that_is_reset_when_its_time_is_over_timed_out(kind: TransportKind) -> None:
    clock = QuickClock()

    async def resets(request: bytes, context: Any) -> bytes:
        clock.time += 5
        return await refuses("UNAVAILABLE", "Received RST_STREAM with error code 8")(
            request, context
        )

    async with raw_sidecar(WaitForInstanceCompletion=resets) as address:
        transport = kind.with_clock(address, clock)
        with pytest.raises(SidecarUnavailableError, match="within 5 s") as raised:
            await kind.run(
                transport.unary, methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1, timeout=5
            )
        await kind.run(transport.close)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_without_a_deadline_that_is_reset_has_not_timed_out(
    kind: TransportKind,
) -> None:
    """A stream of work items lasts for days, longer than any deadline of other calls."""
    clock = QuickClock()

    async def resets(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        clock.time += 3600
        await context.abort(grpc.StatusCode.UNAVAILABLE, "Received RST_STREAM with error code 2")

    async with raw_sidecar(streams={"GetWorkItems": resets}) as address:
        transport = kind.with_clock(address, clock)
        stream = transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest())
        with pytest.raises(SidecarUnavailableError) as raised:
            await kind.drain(stream)
        await kind.run(transport.close)

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
    """A channel without calls."""


def own_channel(owner: Owner) -> Any:
    made: Any = channel.OwnChannel("sidecar.test:4001", Channel, owner, threading.Lock)
    return made


def test_a_channel_is_made_once_and_when_it_is_needed() -> None:
    source = own_channel(Owner())

    assert source.connection() is source.connection()


def test_threads_whose_first_calls_coincide_share_one_channel() -> None:
    others: list[Any] = []

    def make() -> Any:
        if not others:
            others.append(None)
            others.append(source.connection())
        return Channel()

    source: Any = channel.OwnChannel("sidecar.test:4001", make, Owner(), threading.Lock)

    assert source.connection() is others[1]
    assert source.take() is others[1]


def test_a_channel_is_made_anew_in_another_process() -> None:
    owner = Owner()
    source = own_channel(owner)
    parents = source.connection()

    owner.id = 2

    assert source.connection().channel is not parents.channel


def test_a_forked_process_does_not_touch_its_parents_channel() -> None:
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


async def test_failures_in_a_row_make_a_new_channel(
    kind: TransportKind, nobodys_address: str
) -> None:
    health = ChannelHealth(threshold=2)
    transport = kind.connect(nobodys_address, patience=0, health=health)
    before = transport.source.connection()

    for _ in range(2):
        with pytest.raises(SidecarUnavailableError):
            await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)

    assert transport.source.connection() is not before
    await kind.run(transport.close)


async def test_a_wait_that_times_out_does_not_count_against_the_channel(
    kind: TransportKind,
) -> None:
    async with raw_sidecar(WaitForInstanceCompletion=never) as address:
        transport = kind.connect(address, health=ChannelHealth(threshold=1))
        before = transport.source.connection()

        with pytest.raises(SidecarUnavailableError):
            await kind.run(
                transport.unary, methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1, timeout=0.05
            )

        assert transport.source.connection() is before
        await kind.run(transport.close)


async def test_a_wait_is_repeated_longer_if_a_sidecar_was_there_before(kind: TransportKind) -> None:
    clock = QuickClock()
    async with raw_sidecar(GetInstance=answers(FOUND_RAW)) as address:
        transport = kind.with_clock(address, clock)
        await kind.run(transport.unary, methods.GET_INSTANCE, ORDER_1)

    with pytest.raises(SidecarUnavailableError):
        await kind.run(transport.unary, methods.WAIT_FOR_INSTANCE_COMPLETION, ORDER_1, timeout=60)
    await kind.run(transport.close)

    assert 29 < sum(clock.pauses) < 30
