"""Transports find out over real gRPC who is there, and speak its dialect from then on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from durabletask.protocol import codec, dialects, messages, methods
from durabletask.transport import grpc_async_transport, grpc_transport
from durabletask.transport.errors import (
    SidecarError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)
from tests.builders.transport import (
    Counted,
    Handler,
    answers,
    greets_as,
    never,
    raw_sidecar,
    refuses,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PURGE = messages.PurgeInstancesRequest(instance_id="order-1", force=True)
PURGED = messages.PurgeInstancesResponse(deleted_instance_count=1)
QUERY = messages.QueryInstancesRequest()
REFUSED = refuses("UNIMPLEMENTED")


class Line:
    """One of the two transports; its calls leave the test's loop to the server."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.error_base = grpc.aio.AioRpcError if is_async else grpc.RpcError

    def to(self, address: str | None = None, **settings: Any) -> Any:
        return (grpc_async_transport if self.is_async else grpc_transport)(address, **settings)

    def channel(self, address: str) -> Any:
        make = grpc.aio.insecure_channel if self.is_async else grpc.insecure_channel
        return make(address, [("grpc.enable_http_proxy", 0)])

    async def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.is_async:
            return await function(*args, **options)
        return await asyncio.to_thread(function, *args, **options)


@pytest.fixture(params=["sync", "async"])
def line(request: pytest.FixtureRequest) -> Line:
    return Line(is_async=request.param == "async")


@pytest.fixture(autouse=True)
def no_dapr_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT", "DAPR_API_TOKEN", "DURABLETASK_DIALECT"):
        monkeypatch.delenv(name, raising=False)


class Peer:
    """An engine of Dapr's dialect, or of another, as far as the questions can tell."""

    def __init__(self, hello: Handler | None = None, ids: Handler | None = None) -> None:
        self.hello = Counted(hello or answers(b""))
        self.ids = Counted(ids or answers(b""))
        self.purge = Counted(answers(codec.encode(PURGED, dialects.DAPR)))
        self.query = Counted(answers(b""))

    def served(self, **more: Any) -> Any:
        return raw_sidecar(
            Hello=self.hello.answer,
            ListInstanceIDs=self.ids.answer,
            PurgeInstances=self.purge.answer,
            QueryInstances=self.query.answer,
            **more,
        )


async def test_what_is_sent_is_in_the_dialect_that_was_found(line: Line) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = line.to(address)
        purged = await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.close)

    assert purged == PURGED
    assert peer.purge.requests == [codec.encode(PURGE, dialects.DAPR)]
    assert peer.purge.requests != [codec.encode(PURGE, dialects.TASKHUB)]


async def test_our_sidecar_is_spoken_to_in_microsofts_dialect(line: Line) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = line.to(address)
        engine = await line.run(transport.identify_engine)
        await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.close)

    assert (engine.name, engine.is_ours) == ("durabletask-sidecar/9", True)
    assert peer.purge.requests == [codec.encode(PURGE, dialects.TASKHUB)]
    assert peer.ids.requests == []


async def test_a_channel_finds_out_once(line: Line) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = line.to(address)
        await line.run(transport.identify_engine)
        await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.identify_engine)
        await line.run(transport.close)

    assert (len(peer.hello.requests), len(peer.ids.requests)) == (1, 1)


async def test_a_fresh_channel_says_hello_once(line: Line) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = line.to(address)
        answer = await line.run(transport.unary, methods.HELLO, messages.Empty())
        await line.run(transport.close)

    assert answer == messages.Empty()
    assert len(peer.hello.requests) == 1


async def test_a_channel_that_is_known_says_hello_whenever_it_is_told_to(line: Line) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = line.to(address)
        for _ in range(3):
            await line.run(transport.unary, methods.HELLO, messages.Empty())
        await line.run(transport.close)

    assert len(peer.hello.requests) == 3


async def test_a_hello_with_metadata_of_its_own_is_sent(line: Line) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = line.to(address)
        sent = (("x-probe", "1"),)
        await line.run(transport.unary, methods.HELLO, messages.Empty(), metadata=sent)
        await line.run(transport.close)

    assert [request.get("x-probe") for request in peer.hello.metadata] == [None, "1"]


async def test_calls_that_come_at_once_wait_for_one_of_them_to_find_out(line: Line) -> None:
    is_asked, everybody_came = asyncio.Event(), asyncio.Event()

    async def slowly(_request: bytes, _context: Any) -> bytes:
        is_asked.set()
        await everybody_came.wait()
        return b""

    peer = Peer(hello=slowly)
    async with peer.served() as address:
        transport = line.to(address)
        calls = [
            asyncio.ensure_future(line.run(transport.unary, methods.PURGE_INSTANCES, PURGE))
            for _ in range(4)
        ]
        await is_asked.wait()
        everybody_came.set()
        await asyncio.gather(*calls)
        await line.run(transport.close)

    assert len(peer.hello.requests) == 1
    assert len(peer.purge.requests) == 4


async def test_a_call_that_waits_for_the_answer_learns_that_the_client_was_closed(
    line: Line,
) -> None:
    is_asked = asyncio.Event()

    async def asked(request: bytes, context: Any) -> bytes:
        is_asked.set()
        return await never(request, context)

    async with Peer(hello=asked).served() as address:
        transport = line.to(address)
        first = asyncio.ensure_future(line.run(transport.unary, methods.PURGE_INSTANCES, PURGE))
        await is_asked.wait()
        waits = asyncio.ensure_future(line.run(transport.unary, methods.PURGE_INSTANCES, PURGE))
        await asyncio.sleep(0)
        await line.run(transport.close)
        with pytest.raises(RuntimeError, match="The client is closed"):
            await waits
        await asyncio.gather(first, return_exceptions=True)


async def test_a_dialect_that_was_named_is_not_asked_for(line: Line) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = line.to(address, dialect=dialects.TASKHUB)
        await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.close)

    assert peer.hello.requests == peer.ids.requests == []
    assert peer.purge.requests == [codec.encode(PURGE, dialects.TASKHUB)]


async def test_a_channel_of_the_callers_is_asked_as_well(line: Line) -> None:
    peer = Peer()
    async with peer.served() as address:
        channel = line.channel(address)
        await line.run(line.to(channel=channel).unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(channel.close)

    assert peer.purge.requests == [codec.encode(PURGE, dialects.DAPR)]


async def test_what_decides_nothing_is_not_remembered(line: Line) -> None:
    refusals = [refuses("UNAUTHENTICATED", "who are you?"), answers(b"")]

    async def first_refuses(request: bytes, context: Any) -> bytes:
        return await refusals.pop(0)(request, context)

    peer = Peer(hello=first_refuses)
    async with peer.served() as address:
        transport = line.to(address)
        with pytest.raises(SidecarError, match=r"who are you\?.*DURABLETASK_DIALECT") as raised:
            await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        engine = await line.run(transport.identify_engine)
        await line.run(transport.close)

    assert isinstance(raised.value, line.error_base)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert engine.is_dapr


async def test_a_call_that_cannot_be_made_twice_is_made_once_the_engine_answers(
    line: Line,
) -> None:
    """What was turned away was the question: the call itself had not left yet."""
    greetings = [refuses("UNAVAILABLE", "restarting"), answers(b"")]

    async def second_time(request: bytes, context: Any) -> bytes:
        return await greetings.pop(0)(request, context)

    peer = Peer(hello=second_time)
    async with peer.served() as address:
        transport = line.to(address, patience=10)
        await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.close)

    assert peer.purge.requests == [codec.encode(PURGE, dialects.DAPR)]


async def test_an_engine_that_answers_no_question_fails_the_call_in_its_time(line: Line) -> None:
    peer = Peer(hello=never)
    async with peer.served() as address:
        transport = line.to(address)
        with pytest.raises(SidecarUnavailableError, match="PurgeInstances of instance 'order-1'"):
            await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE, timeout=0.2)
        await line.run(transport.close)

    assert peer.purge.requests == []


async def test_what_the_engine_does_not_have_is_refused_unsent(line: Line) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = line.to(address)
        with pytest.raises(UnsupportedOperationError) as raised:
            await line.run(transport.unary, methods.QUERY_INSTANCES, QUERY)
        await line.run(transport.close)

    assert peer.query.requests == []
    assert isinstance(raised.value, line.error_base)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert str(raised.value) == (
        f"{address}: an engine of Dapr's dialect cannot query instances (QueryInstances). Instead, "
        "use list_instance_ids, and get_orchestration_state for those that are of interest."
    )


async def test_a_rerun_is_refused_unsent_where_microsofts_dialect_is_spoken(line: Line) -> None:
    peer = Peer(ids=REFUSED)
    request = messages.RerunOrchestrationFromEventRequest(source_instance_id="order-1", event_id=1)
    async with peer.served() as address:
        transport = line.to(address)
        with pytest.raises(UnsupportedOperationError, match="use rewind_orchestration") as raised:
            await line.run(transport.unary, methods.RERUN_ORCHESTRATION_FROM_EVENT, request)
        await line.run(transport.close)

    assert raised.value.instance_id == "order-1"


async def test_our_sidecar_has_what_only_daprs_dialect_has(line: Line) -> None:
    request = messages.RerunOrchestrationFromEventRequest(source_instance_id="order-1", event_id=1)
    done = messages.RerunOrchestrationFromEventResponse(new_instance_id="order-2")
    rerun = answers(codec.encode(done, dialects.DAPR))
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served(RerunWorkflowFromEvent=rerun) as address:
        transport = line.to(address)
        answer = await line.run(transport.unary, methods.RERUN_ORCHESTRATION_FROM_EVENT, request)
        await line.run(transport.close)

    assert answer == done


async def test_a_stream_finds_out_before_it_starts(line: Line) -> None:
    received: list[bytes] = []

    async def work(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        received.append(request)
        yield b"work"

    request = messages.GetWorkItemsRequest(
        capabilities=[messages.WorkerCapability.STATEFUL_HISTORY],
        max_concurrent_activity_work_items=5,
    )
    async with Peer().served(streams={"GetWorkItems": work}) as address:
        transport = line.to(address)
        stream = transport.stream(methods.GET_WORK_ITEMS, request)
        if line.is_async:
            first = await anext(stream)
        else:
            first = await asyncio.to_thread(next, stream)
        await line.run(transport.close)

    assert first == b"work"
    assert received == [codec.encode(request, dialects.DAPR)]


async def test_a_stream_that_was_closed_before_it_started_ends(line: Line) -> None:
    transport = line.to("sidecar.test:4001")
    stream = transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest())

    if line.is_async:
        await stream.aclose()
        last = await anext(stream, b"end")
    else:
        stream.close()
        last = next(stream, b"end")

    assert last == b"end"
    await line.run(transport.close)


async def test_who_is_there_is_logged_once(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="durabletask.transport")
    async with Peer().served() as address:
        transport = line.to(address)
        await line.run(transport.identify_engine)
        await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.close)

    (record,) = [record for record in caplog.records if record.name == "durabletask.transport"]
    assert record.levelno == logging.DEBUG
    assert "an engine of Dapr's dialect" in record.getMessage()


async def test_daprs_token_goes_along_with_every_call_and_question(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_API_TOKEN", "secret")
    peer = Peer()
    async with peer.served() as address:
        transport = line.to(address)
        await line.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await line.run(transport.close)

    calls = [peer.hello, peer.ids, peer.purge]
    assert [call.metadata[0]["dapr-api-token"] for call in calls] == ["secret"] * 3
