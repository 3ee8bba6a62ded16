"""A real sidecar's batch streams: what is refused, bounded, revoked and ended, as on single calls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
import pytest

from durabletask.protocol import batch_stream, codec, dialects, messages, methods
from durabletask.sidecar import ManualClock, Security
from durabletask.sidecar.engine.limits import Limits
from durabletask.sidecar.server import Server
from tests.builders.batch_channel import batch_channel
from tests.builders.security import ORDERS, TOKENS, Authority, bearer, replace
from tests.builders.sidecar import Peer, complete, connected, schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MIB = 1024 * 1024
OTHER = "another-0123456789abcdef"


@asynccontextmanager
async def sidecar(**options: Any) -> AsyncIterator[Server]:
    server = Server(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def on_stream(
    server: Server, *, metadata: Any = (), channel: grpc.aio.Channel | None = None, **limits: int
) -> AsyncIterator[Peer]:
    """A peer whose calls all go on one batch stream."""
    async with connected(server.address) as peer:
        given = channel or cast("grpc.aio.Channel", peer.channel)
        async with batch_channel(given, metadata=metadata, **limits) as calls:
            yield Peer(cast("Any", calls))


@asynccontextmanager
async def raw_stream(server: Server) -> AsyncIterator[Any]:
    """A stream on which a test writes what it wants."""
    async with connected(server.address) as peer:
        stream: Any = cast("Any", peer.channel).stream_stream(batch_stream.PATH)()
        await stream.initial_metadata()
        yield stream


def batch(*calls: messages.BatchedCall) -> bytes:
    return codec.encode(messages.CallBatch(calls=list(calls)))


async def replies_of(stream: Any, count: int) -> list[messages.Reply]:
    found: list[messages.Reply] = []
    while len(found) < count:
        found += codec.decode(messages.ReplyBatch, await stream.read()).replies
    return found


async def test_hello_offers_the_stream_with_the_size_of_a_batch() -> None:
    limits = Limits(message_bytes=3 * MIB)
    async with sidecar(limits=limits) as server, connected(server.address) as peer:
        call: Any = cast("Any", peer.channel).unary_unary(methods.HELLO.path)(b"")
        metadata = dict(await call.initial_metadata())

    assert metadata[batch_stream.OFFER_KEY] == str(3 * MIB)


async def test_calls_of_one_batch_are_each_answered_after_their_commit() -> None:
    async with sidecar() as server, on_stream(server) as peer:
        await asyncio.gather(*(peer.start(instance_id=f"i{number}") for number in range(50)))

        states = await asyncio.gather(*(peer.state(f"i{number}") for number in range(50)))

    assert [state.instance_id for state in states] == [f"i{number}" for number in range(50)]


async def test_work_is_done_on_the_stream() -> None:
    async with sidecar() as server, on_stream(server) as peer:
        await peer.start()
        items = peer.work()
        await peer.decide(await items.next(), schedule(0, "add"))
        await peer.finish(await items.next(), "3")
        await peer.decide(await items.next(), complete(1, "3"))

        state = await peer.completed()

    assert state.output == "3"


async def test_a_method_that_nobody_has_is_refused_like_by_itself() -> None:
    async with sidecar() as server, raw_stream(server) as stream:
        await stream.write(batch(messages.BatchedCall(id=7, method="Nothing")))

        (reply,) = await replies_of(stream, 1)

    assert (reply.id, reply.status) == (7, "UNIMPLEMENTED")


async def test_a_request_that_is_no_message_costs_its_call_and_no_other() -> None:
    start = codec.encode(
        messages.CreateInstanceRequest(name="n", instance_id="a"), dialects.TASKHUB
    )
    async with sidecar() as server, raw_stream(server) as stream:
        await stream.write(
            batch(
                messages.BatchedCall(id=1, method="StartInstance", request=b"\xff"),
                messages.BatchedCall(id=2, method="StartInstance", request=start),
            )
        )

        found = {reply.id: reply for reply in await replies_of(stream, 2)}

    assert found[1].status == "INVALID_ARGUMENT"
    assert "StartInstance needs a CreateInstanceRequest" in found[1].details
    assert (found[2].status, len(found[2].responses)) == ("", 1)


async def test_a_message_that_is_no_batch_ends_its_stream_and_all_that_ran_on_it() -> None:
    async with sidecar() as server, raw_stream(server) as stream, on_stream(server) as other:
        work = messages.BatchedCall(id=1, method="GetWorkItems")
        await stream.write(batch(work))
        await replies_of(stream, 1)
        await stream.write(b"\xff")

        code = await stream.code()
        await other.start()
        item = await other.work().next()

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert item.orchestrator_request.instance_id == "a"


async def opened_wait(stream: Any, other: Peer) -> messages.BatchedCall:
    """A call with the id 1 that is under way on the stream until the instance completes."""
    await other.start()
    request = messages.GetInstanceRequest(instance_id="a")
    call = messages.BatchedCall(
        id=1,
        method="WaitForInstanceCompletion",
        request=codec.encode(request, dialects.TASKHUB),
    )
    await stream.write(batch(call))
    return call


@pytest.mark.parametrize(
    "second",
    [
        messages.BatchedCall(id=1, method="Hello"),
        messages.BatchedCall(id=1, method="GetWorkItems"),
        messages.BatchedCall(id=1, method="Nothing"),
        messages.BatchedCall(id=1, method="StartInstance", request=b"\xff"),
    ],
    ids=lambda call: call.method,
)
async def test_the_id_of_a_call_under_way_is_refused_for_another_and_ends_the_stream(
    second: messages.BatchedCall,
) -> None:
    async with sidecar() as server, raw_stream(server) as stream, on_stream(server) as other:
        await opened_wait(stream, other)
        await stream.write(batch(second))

        code = await stream.code()
        details = await stream.details()

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "1 is the id of a call that is under way" in details


async def test_the_id_of_a_cancelled_call_may_be_used_again_at_once() -> None:
    async with sidecar() as server, raw_stream(server) as stream, on_stream(server) as other:
        call = await opened_wait(stream, other)
        # The second call is cancelled, too: both must have ended before the third is answered.
        cancelled = messages.CallBatch(calls=[], cancelled=[1])
        again = messages.CallBatch(calls=[call], cancelled=[1])
        for each in (cancelled, again):
            await stream.write(codec.encode(each))
        await stream.write(batch(call))
        await stream.write(batch(messages.BatchedCall(id=2, method="Hello")))
        (hello,) = await replies_of(stream, 1)
        await other.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))

        (reply,) = await replies_of(stream, 1)

    assert hello.id == 2
    assert (reply.id, reply.status, len(reply.responses)) == (1, "", 1)


async def test_what_is_cancelled_is_ended_and_not_answered() -> None:
    wait = codec.encode(messages.GetInstanceRequest(instance_id="a"), dialects.TASKHUB)
    async with sidecar() as server, raw_stream(server) as stream, on_stream(server) as other:
        await other.start()
        waiting = messages.BatchedCall(id=1, method="WaitForInstanceCompletion", request=wait)
        await stream.write(batch(waiting))
        await stream.write(codec.encode(messages.CallBatch(cancelled=[1])))
        await stream.write(batch(messages.BatchedCall(id=2, method="Hello")))

        (reply,) = await replies_of(stream, 1)

    assert reply.id == 2


async def refusal_alone(peer: Peer, instance_id: str) -> tuple[grpc.StatusCode, str]:
    request = messages.GetInstanceRequest(instance_id=instance_id, get_inputs_and_outputs=True)
    return await peer.refusal(methods.GET_INSTANCE, request)


async def test_a_response_that_is_too_large_for_its_peer_is_refused_like_by_itself() -> None:
    limit = 100_000
    async with sidecar() as server, on_stream(server, limit=limit) as peer:
        await peer.start(input="x" * 200_000)
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", limit)]
        async with grpc.aio.insecure_channel(server.address, options) as channel:
            code, text = await refusal_alone(Peer(channel), "a")
        code_on_stream, text_on_stream = await refusal_alone(peer, "a")
        await peer.start(instance_id="b")

    assert code_on_stream is code is grpc.StatusCode.RESOURCE_EXHAUSTED
    allowed = str(limit + batch_stream.ENTRY_BYTES)
    assert text_on_stream in text.replace(str(limit), allowed)


async def test_batches_down_are_no_larger_than_their_peer_receives() -> None:
    limit = 2 * MIB
    async with sidecar() as server, on_stream(server) as client:
        for number in range(8):
            await client.start(instance_id=f"i{number}", input="x" * 900_000)
        options = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", limit + batch_stream.ENTRY_BYTES),
        ]
        async with (
            grpc.aio.insecure_channel(server.address, options) as channel,
            on_stream(server, channel=channel, limit=limit) as worker,
        ):
            items = worker.work()
            found = [await items.next() for _ in range(8)]

    assert {item.orchestrator_request.instance_id for item in found} == {
        f"i{number}" for number in range(8)
    }


async def test_the_work_of_a_stream_that_ends_goes_to_others() -> None:
    async with sidecar() as server, on_stream(server) as other:
        async with on_stream(server) as doomed:
            await other.start()
            await doomed.work().next()

        item = await other.work().next()

    assert item.orchestrator_request.instance_id == "a"


async def test_the_work_of_a_stream_that_nobody_reads_goes_to_others() -> None:
    clock = ManualClock()
    work = messages.BatchedCall(
        id=1,
        method="GetWorkItems",
        request=codec.encode(
            messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=20),
            dialects.TASKHUB,
        ),
    )
    async with (
        sidecar(clock=clock) as server,
        raw_stream(server) as stuck,
        on_stream(server) as other,
    ):
        await stuck.write(batch(work))
        await replies_of(stuck, 1)
        for number in range(20):
            await other.start(instance_id=f"i{number}", input="x" * 900_000)
        items = asyncio.create_task(other.work().next())
        while not items.done():
            clock.advance(timedelta(seconds=25))
            await other.call(methods.HELLO)

    assert items.result().orchestrator_request.instance_id.startswith("i")


async def test_a_drained_sidecar_hands_out_nothing_and_still_answers() -> None:
    async with sidecar() as server, on_stream(server) as peer:
        await peer.start()
        items = peer.work()
        item = await items.next()
        draining = asyncio.create_task(server.drain(10))
        await asyncio.sleep(0)
        await peer.start(instance_id="b")
        await peer.decide(item, complete(0))
        await draining

        assert (await peer.state("a")).orchestration_status == 1
        assert (await peer.state("b")).orchestration_status == 6


async def test_a_sidecar_that_stops_answers_who_waits_and_ends_its_streams() -> None:
    async with sidecar() as server, on_stream(server) as peer:
        await peer.start()
        items = peer.work()
        await items.opened()
        request = messages.GetInstanceRequest(instance_id="a")
        waiting = await peer.begin(methods.WAIT_FOR_INSTANCE_COMPLETION, request)
        await server.stop()

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await waiting
        while await items.next() is not None:
            pass
        status = await items.status()

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert status is grpc.StatusCode.OK


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    replace(path, TOKENS)
    return path


@pytest.fixture
async def secured(tokens: Path) -> AsyncIterator[Server]:
    async with sidecar(security=Security(token_file=tokens)) as server:
        yield server


async def test_no_stream_is_opened_without_a_valid_token(secured: Server) -> None:
    async with connected(secured.address) as peer:
        stream: Any = cast("Any", peer.channel).stream_stream(batch_stream.PATH)()

        code = await stream.code()

    assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_may_not_name_another_hub_than_its_token_is_for(secured: Server) -> None:
    async with on_stream(secured, metadata=bearer(ORDERS, "orders")) as peer:
        await peer.start()
        code, _ = await peer.of_hub("billing").refusal(
            methods.GET_INSTANCE, messages.GetInstanceRequest(instance_id="a")
        )

    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_once_its_token_is_removed_calls_on_an_open_stream_are_refused(
    secured: Server, tokens: Path
) -> None:
    async with on_stream(secured, metadata=bearer(ORDERS, "orders")) as peer:
        await peer.start()
        request = messages.GetInstanceRequest(instance_id="a")
        waiting = await peer.begin(methods.WAIT_FOR_INSTANCE_COMPLETION, request)
        replace(tokens, f"* {OTHER}\n")
        code, text = await peer.refusal(methods.GET_INSTANCE, request)
        async with on_stream(secured, metadata=bearer(OTHER, "orders")) as admin:
            terminate = messages.TerminateRequest(instance_id="a")
            await admin.call(methods.TERMINATE_INSTANCE, terminate)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await waiting

    assert code is raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "needs a valid token" in text


async def test_once_its_token_is_removed_a_worker_gets_no_more_work(
    secured: Server, tokens: Path
) -> None:
    async with on_stream(secured, metadata=bearer(ORDERS, "orders")) as peer:
        items = peer.work()
        await items.opened()
        replace(tokens, f"* {OTHER}\n")
        async with on_stream(secured, metadata=bearer(OTHER, "orders")) as admin:
            await admin.start()
            status = await items.status()

    assert status is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_goes_over_tls_as_calls_do(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.certify()
    async with sidecar(security=Security(tls_cert=cert, tls_key=key)) as server:
        address = server.address.replace("127.0.0.1", "localhost")
        async with (
            grpc.aio.secure_channel(address, authority.trusted()) as channel,
            on_stream(server, channel=channel) as peer,
        ):
            assert await peer.start() == "a"
