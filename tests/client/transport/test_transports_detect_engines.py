"""Transports detect the engine over real gRPC, and speak its dialect from then on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from durabletask.protocol import codec, dialects, messages, methods
from durabletask.transport.errors import (
    SidecarError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)
from tests.builders.transport import (
    Counted,
    Handler,
    TransportKind,
    answers,
    greets_as,
    never,
    raw_sidecar,
    refuses,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PURGE = messages.PurgeInstancesRequest(instance_id="order-1", force=True)
PURGED = messages.PurgeInstancesResponse(deleted_instance_count=1)
QUERY = messages.QueryInstancesRequest()
REFUSED = refuses("UNIMPLEMENTED")


@pytest.fixture(autouse=True)
def no_dapr_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT", "DAPR_API_TOKEN", "DURABLETASK_DIALECT"):
        monkeypatch.delenv(name, raising=False)


class Peer:
    """An engine that answers the questions of detection as it is told."""

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


async def test_requests_are_in_the_detected_dialect(kind: TransportKind) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = kind.connect(address)
        purged = await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.close)

    assert purged == PURGED
    assert peer.purge.requests == [codec.encode(PURGE, dialects.DAPR)]
    assert peer.purge.requests != [codec.encode(PURGE, dialects.TASKHUB)]


async def test_requests_to_our_sidecar_are_in_microsofts_dialect(kind: TransportKind) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = kind.connect(address)
        engine = await kind.run(transport.identify_engine)
        await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.close)

    assert (engine.name, engine.is_ours) == ("durabletask-sidecar/9", True)
    assert peer.purge.requests == [codec.encode(PURGE, dialects.TASKHUB)]
    assert peer.ids.requests == []


async def test_a_channel_detects_the_engine_once(kind: TransportKind) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = kind.connect(address)
        await kind.run(transport.identify_engine)
        await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.identify_engine)
        await kind.run(transport.close)

    assert (len(peer.hello.requests), len(peer.ids.requests)) == (1, 1)


async def test_a_fresh_channel_says_hello_once(kind: TransportKind) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = kind.connect(address)
        answer = await kind.run(transport.unary, methods.HELLO, messages.Empty())
        await kind.run(transport.close)

    assert answer == messages.Empty()
    assert len(peer.hello.requests) == 1


async def test_once_the_engine_is_known_every_hello_is_sent(
    kind: TransportKind,
) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = kind.connect(address)
        for _ in range(3):
            await kind.run(transport.unary, methods.HELLO, messages.Empty())
        await kind.run(transport.close)

    assert len(peer.hello.requests) == 3


async def test_a_hello_with_metadata_of_its_own_is_sent(kind: TransportKind) -> None:
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served() as address:
        transport = kind.connect(address)
        sent = (("x-probe", "1"),)
        await kind.run(transport.unary, methods.HELLO, messages.Empty(), metadata=sent)
        await kind.run(transport.close)

    assert [request.get("x-probe") for request in peer.hello.metadata] == [None, "1"]


async def test_concurrent_calls_wait_for_one_detection(
    kind: TransportKind,
) -> None:
    is_asked, everybody_came = asyncio.Event(), asyncio.Event()

    async def slowly(_request: bytes, _context: Any) -> bytes:
        is_asked.set()
        await everybody_came.wait()
        return b""

    peer = Peer(hello=slowly)
    async with peer.served() as address:
        transport = kind.connect(address)
        calls = [
            asyncio.ensure_future(kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE))
            for _ in range(4)
        ]
        await is_asked.wait()
        everybody_came.set()
        await asyncio.gather(*calls)
        await kind.run(transport.close)

    assert len(peer.hello.requests) == 1
    assert len(peer.purge.requests) == 4


async def test_a_call_that_waits_for_detection_fails_when_the_client_is_closed(
    kind: TransportKind,
) -> None:
    is_asked = asyncio.Event()

    async def asked(request: bytes, context: Any) -> bytes:
        is_asked.set()
        return await never(request, context)

    async with Peer(hello=asked).served() as address:
        transport = kind.connect(address)
        first = asyncio.ensure_future(kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE))
        await is_asked.wait()
        waits = asyncio.ensure_future(kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE))
        await asyncio.sleep(0)
        await kind.run(transport.close)
        with pytest.raises(RuntimeError, match="The client is closed"):
            await waits
        await asyncio.gather(first, return_exceptions=True)


async def test_a_dialect_that_was_named_is_not_detected(kind: TransportKind) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = kind.connect(address, dialect=dialects.TASKHUB)
        await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.close)

    assert peer.hello.requests == peer.ids.requests == []
    assert peer.purge.requests == [codec.encode(PURGE, dialects.TASKHUB)]


async def test_the_engine_of_a_given_channel_is_detected_too(kind: TransportKind) -> None:
    peer = Peer()
    async with peer.served() as address:
        channel = kind.channel(address)
        await kind.run(kind.connect(channel=channel).unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(channel.close)

    assert peer.purge.requests == [codec.encode(PURGE, dialects.DAPR)]


async def test_an_answer_that_decides_nothing_is_not_remembered(kind: TransportKind) -> None:
    refusals = [refuses("UNAUTHENTICATED", "who are you?"), answers(b"")]

    async def first_refuses(request: bytes, context: Any) -> bytes:
        return await refusals.pop(0)(request, context)

    peer = Peer(hello=first_refuses)
    async with peer.served() as address:
        transport = kind.connect(address)
        with pytest.raises(SidecarError, match=r"who are you\?.*DURABLETASK_DIALECT") as raised:
            await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        engine = await kind.run(transport.identify_engine)
        await kind.run(transport.close)

    assert isinstance(raised.value, kind.error_base)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert engine.is_dapr


async def test_a_call_that_is_never_repeated_survives_a_failed_detection(
    kind: TransportKind,
) -> None:
    """The question was refused; the call itself had not been sent."""
    greetings = [refuses("UNAVAILABLE", "restarting"), answers(b"")]

    async def second_time(request: bytes, context: Any) -> bytes:
        return await greetings.pop(0)(request, context)

    peer = Peer(hello=second_time)
    async with peer.served() as address:
        transport = kind.connect(address, patience=10)
        await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.close)

    assert peer.purge.requests == [codec.encode(PURGE, dialects.DAPR)]


async def test_a_detection_without_an_answer_fails_the_call_at_its_deadline(
    kind: TransportKind,
) -> None:
    peer = Peer(hello=never)
    async with peer.served() as address:
        transport = kind.connect(address)
        with pytest.raises(SidecarUnavailableError, match="PurgeInstances of instance 'order-1'"):
            await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE, timeout=0.2)
        await kind.run(transport.close)

    assert peer.purge.requests == []


async def test_a_method_that_the_engine_lacks_is_refused_before_it_is_sent(
    kind: TransportKind,
) -> None:
    peer = Peer()
    async with peer.served() as address:
        transport = kind.connect(address)
        with pytest.raises(UnsupportedOperationError) as raised:
            await kind.run(transport.unary, methods.QUERY_INSTANCES, QUERY)
        await kind.run(transport.close)

    assert peer.query.requests == []
    assert isinstance(raised.value, kind.error_base)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert str(raised.value) == (
        f"{address}: an engine of Dapr's dialect cannot query instances (QueryInstances). Instead, "
        "use list_instance_ids, and get_orchestration_state for those that are of interest."
    )


async def test_a_rerun_is_refused_before_it_is_sent_in_microsofts_dialect(
    kind: TransportKind,
) -> None:
    peer = Peer(ids=REFUSED)
    request = messages.RerunOrchestrationFromEventRequest(source_instance_id="order-1", event_id=1)
    async with peer.served() as address:
        transport = kind.connect(address)
        with pytest.raises(UnsupportedOperationError, match="use rewind_orchestration") as raised:
            await kind.run(transport.unary, methods.RERUN_ORCHESTRATION_FROM_EVENT, request)
        await kind.run(transport.close)

    assert raised.value.instance_id == "order-1"


async def test_our_sidecar_has_the_methods_of_daprs_dialect_too(kind: TransportKind) -> None:
    request = messages.RerunOrchestrationFromEventRequest(source_instance_id="order-1", event_id=1)
    done = messages.RerunOrchestrationFromEventResponse(new_instance_id="order-2")
    rerun = answers(codec.encode(done, dialects.DAPR))
    peer = Peer(hello=greets_as("durabletask-sidecar/9"))
    async with peer.served(RerunWorkflowFromEvent=rerun) as address:
        transport = kind.connect(address)
        answer = await kind.run(transport.unary, methods.RERUN_ORCHESTRATION_FROM_EVENT, request)
        await kind.run(transport.close)

    assert answer == done


async def test_a_stream_detects_the_engine_before_it_starts(kind: TransportKind) -> None:
    received: list[bytes] = []

    async def work(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        received.append(request)
        yield b"work"

    request = messages.GetWorkItemsRequest(
        capabilities=[messages.WorkerCapability.STATEFUL_HISTORY],
        max_concurrent_activity_work_items=5,
    )
    async with Peer().served(streams={"GetWorkItems": work}) as address:
        transport = kind.connect(address)
        stream = transport.stream(methods.GET_WORK_ITEMS, request)
        if kind.is_async:
            first = await anext(stream)
        else:
            first = await asyncio.to_thread(next, stream)
        await kind.run(transport.close)

    assert first == b"work"
    assert received == [codec.encode(request, dialects.DAPR)]


async def test_a_stream_that_was_closed_before_it_started_ends(kind: TransportKind) -> None:
    transport = kind.connect("sidecar.test:4001")
    stream = transport.stream(methods.GET_WORK_ITEMS, messages.GetWorkItemsRequest())

    if kind.is_async:
        await stream.aclose()
        last = await anext(stream, b"end")
    else:
        stream.close()
        last = next(stream, b"end")

    assert last == b"end"
    await kind.run(transport.close)


async def test_the_detected_engine_is_logged_once(
    kind: TransportKind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="durabletask.transport")
    async with Peer().served() as address:
        transport = kind.connect(address)
        await kind.run(transport.identify_engine)
        await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.close)

    (record,) = [record for record in caplog.records if record.name == "durabletask.transport"]
    assert record.levelno == logging.DEBUG
    assert "an engine of Dapr's dialect" in record.getMessage()


async def test_daprs_token_is_sent_with_every_call_and_question(
    kind: TransportKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_API_TOKEN", "secret")
    peer = Peer()
    async with peer.served() as address:
        transport = kind.connect(address)
        await kind.run(transport.unary, methods.PURGE_INSTANCES, PURGE)
        await kind.run(transport.close)

    calls = [peer.hello, peer.ids, peer.purge]
    assert [call.metadata[0]["dapr-api-token"] for call in calls] == ["secret"] * 3
