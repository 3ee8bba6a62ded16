"""Threads that make calls at once share a batch stream; a thread alone does without."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.protocol import batch_stream, messages, methods
from durabletask.transport import grpc_transport
from durabletask.transport.channel_batches import ChannelBatches
from durabletask.transport.errors import InstanceNotFoundError, SidecarUnavailableError
from durabletask.transport.sync_batch_stream import SyncBatchStream
from tests.builders.batch_sidecar import FOUND, OFFER, BatchingSidecar, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from durabletask.transport.multiplexer import CallFailure

ORDER_1 = messages.GetInstanceRequest(instance_id="order-1")
EVENT = messages.RaiseEventRequest(instance_id="order-1", name="go")


@asynccontextmanager
async def connected(sidecar: BatchingSidecar) -> AsyncIterator[Any]:
    """A transport that knows the engine, one call of which is under way by itself."""
    async with serving(sidecar):
        transport: Any = grpc_transport(sidecar.address, patience=0)
        try:
            await asyncio.to_thread(transport.identify_engine)
            yield transport
        finally:
            await asyncio.to_thread(transport.close)


def call(transport: Any, method: methods.Method, request: Any, **options: Any) -> Any:
    """Make a call on a thread."""
    return asyncio.create_task(asyncio.to_thread(transport.unary, method, request, **options))


@asynccontextmanager
async def busy(sidecar: BatchingSidecar, transport: Any) -> AsyncIterator[None]:
    """One call is under way by itself, and the stream is open for others."""
    waiting = call(transport, methods.GET_INSTANCE, ORDER_1)
    sidecar.gate.clear()
    await sidecar.held.wait()
    await asyncio.to_thread(open_stream, transport)
    try:
        yield
    finally:
        sidecar.gate.set()
        assert await waiting == FOUND


def open_stream(transport: Any) -> None:
    connection = transport.source.connection()
    transport.unary(methods.RAISE_EVENT, EVENT)
    connection.batches.any_stream(transport.clock.now).decided.wait()


@asynccontextmanager
async def opened(sidecar: BatchingSidecar) -> AsyncIterator[SyncBatchStream]:
    """A stream by itself."""
    async with serving(sidecar):
        with grpc.insecure_channel(sidecar.address) as channel:
            rpc: Any = channel.stream_stream(batch_stream.PATH)
            stream = await asyncio.to_thread(SyncBatchStream, rpc, 10_000, lambda *_: None)
            await asyncio.to_thread(stream.decided.wait)
            yield stream
            await asyncio.to_thread(stream.close)


def on(stream: SyncBatchStream, timeout: float = 20) -> asyncio.Task[bytes | None]:
    return asyncio.create_task(
        asyncio.to_thread(stream.unary, methods.GET_INSTANCE, b"", timeout, ())
    )


async def test_a_thread_alone_makes_each_call_by_itself() -> None:
    sidecar = BatchingSidecar()
    async with connected(sidecar) as transport:
        for _ in range(3):
            assert await call(transport, methods.GET_INSTANCE, ORDER_1) == FOUND

    assert (len(sidecar.alone), sidecar.asked) == (3, 0)


async def test_a_call_made_while_another_is_under_way_goes_on_the_stream() -> None:
    sidecar = BatchingSidecar(holds="GetInstance")
    async with connected(sidecar) as transport, busy(sidecar, transport):
        event = call(transport, methods.RAISE_EVENT, EVENT)
        arrived = await sidecar.call()
        await sidecar.reply(id=arrived.id, status="NOT_FOUND", details="who?")

        with pytest.raises(InstanceNotFoundError, match="'order-1'") as raised:
            await event

    assert arrived.method == "RaiseEvent"
    assert isinstance(raised.value, grpc.RpcError)


async def test_calls_of_many_threads_are_each_given_their_own_answer() -> None:
    sidecar = BatchingSidecar()
    async with opened(sidecar) as stream:
        answers = [on(stream) for _ in range(4)]
        found = [await sidecar.next_call() for _ in answers]
        for arrived in reversed(found):
            await sidecar.reply(id=arrived.id, responses=[str(arrived.id).encode()])

        assert sorted(await asyncio.gather(*answers)) == sorted(  # type: ignore[type-var]
            str(arrived.id).encode() for arrived in found
        )


async def test_the_deadline_ends_a_call_here_and_there() -> None:
    sidecar = BatchingSidecar()
    async with opened(sidecar) as stream:
        with pytest.raises(grpc.RpcError) as raised:
            await on(stream, timeout=0.05)
        arrived = await sidecar.call()
        batch = await sidecar.arrived.get()

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert batch.cancelled == [arrived.id]


async def test_a_call_on_a_stream_that_breaks_is_unavailable() -> None:
    sidecar = BatchingSidecar()
    async with opened(sidecar) as stream:
        answer = on(stream)
        await sidecar.call()
        with pytest.raises(grpc.aio.AbortError):
            await sidecar.break_stream()

        with pytest.raises(grpc.RpcError) as raised:
            await answer
        assert await on(stream) is None

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_admission_alone_is_no_response() -> None:
    sidecar = BatchingSidecar()
    async with opened(sidecar) as stream:
        answer = on(stream)
        call = await sidecar.call()
        await sidecar.reply(id=call.id, is_more_to_come=True)
        await sidecar.reply(id=call.id)

        with pytest.raises(grpc.RpcError, match="without a response"):
            await answer


async def test_closing_ends_a_call_in_progress() -> None:
    sidecar = BatchingSidecar(holds="GetInstance")
    async with connected(sidecar) as transport, busy(sidecar, transport):
        event = call(transport, methods.RAISE_EVENT, EVENT)
        await sidecar.call()
        await asyncio.to_thread(transport.source.connection().batches.close)

        with pytest.raises(SidecarUnavailableError):
            await event


class LateRpc:
    """A stream of gRPC that is made only when the test lets it, and is admitted at once."""

    def __init__(self) -> None:
        self.may_be_made = threading.Event()
        self.is_cancelled = threading.Event()
        self.was_read = False

    def make(self, _batches: Any) -> LateRpc:
        self.may_be_made.wait()
        return self

    def initial_metadata(self) -> Any:
        return (OFFER,)

    def __iter__(self) -> Iterator[bytes]:
        self.was_read = True
        return iter(())

    def cancel(self) -> None:
        self.is_cancelled.set()


def test_a_stream_closed_while_it_is_opened_does_not_stay_open() -> None:
    rpc = LateRpc()
    stream = SyncBatchStream(rpc.make, 10_000, lambda *_: None)

    stream.close()
    rpc.may_be_made.set()
    rpc.is_cancelled.wait()

    assert (stream.is_open, rpc.was_read) == (False, False)


class SilentRpc:
    """A stream of gRPC that is never admitted: it says nothing until it is cancelled."""

    def __init__(self, answers: list[bytes], *, has_metadata: bool) -> None:
        self._answers = answers
        self._has_metadata = has_metadata
        self._is_cancelled = threading.Event()

    def initial_metadata(self) -> Any:
        if not self._has_metadata:
            self._is_cancelled.wait()
        return ()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answers
        self._is_cancelled.wait()

    def cancel(self) -> None:
        self._is_cancelled.set()


@pytest.mark.parametrize(
    "rpc",
    [
        SilentRpc([], has_metadata=False),
        SilentRpc([], has_metadata=True),
        SilentRpc([b"?"], has_metadata=True),
    ],
    ids=["says nothing", "offers nothing", "speaks otherwise"],
)
def test_a_stream_that_the_sidecar_does_not_admit_is_given_up(rpc: SilentRpc) -> None:
    stream = SyncBatchStream(lambda _: rpc, 10_000, lambda *_: None, opening_timeout=0.0)
    stream.decided.wait()

    assert stream.failure is not None
    assert (stream.failure.status, stream.is_open) == ("DEADLINE_EXCEEDED", False)


class StrangeRpc(LateRpc):
    """A stream of gRPC from which reading fails as no one foresaw."""

    def __iter__(self) -> Iterator[bytes]:
        raise LookupError("no such queue")


def test_a_stream_that_breaks_tells_the_real_reason() -> None:
    ends: SimpleQueue[CallFailure] = SimpleQueue()
    rpc = StrangeRpc()
    rpc.may_be_made.set()

    SyncBatchStream(rpc.make, 10_000, lambda failure, _: ends.put(failure))
    failure = ends.get()

    assert (failure.status, "no such queue" in failure.details) == ("UNAVAILABLE", True)


def test_once_a_channel_is_closed_no_stream_is_opened_on_it() -> None:
    batches: ChannelBatches[Any] = ChannelBatches()
    made: list[Any] = []
    batches.make = made.append

    batches.close()

    assert batches.any_stream(lambda: 0.0) is None
    assert made == []


async def test_a_transport_that_is_forgotten_ends_its_stream() -> None:
    sidecar = BatchingSidecar(holds="GetInstance")
    async with serving(sidecar):
        transport: Any = grpc_transport(sidecar.address)
        await asyncio.to_thread(transport.identify_engine)
        async with busy(sidecar, transport):
            pass
        ended = asyncio.Event()
        sidecar.streams[0].add_done_callback(lambda _: ended.set())

        del transport

        await ended.wait()


PROGRAM = """
import asyncio
from concurrent.futures import ThreadPoolExecutor

from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.sidecar import Sidecar


async def ask(address):
    client = AsyncTaskHubGrpcClient(host_address=address)
    for _ in range(3):
        await asyncio.gather(*(client.get_orchestration_state("a") for _ in range(9)))


with Sidecar() as address:
    client = TaskHubGrpcClient(host_address=address)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(client.get_orchestration_state, "a" * 99))
    asyncio.run(ask(address))
print("done")
"""


def test_a_program_ends_though_it_has_closed_no_client() -> None:
    environment = os.environ | {"DURABLETASK_IN_PROCESS": "0"}

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
