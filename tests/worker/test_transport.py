from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import grpc
import grpc.aio
import pytest

from durabletask.grpc_options import GrpcChannelOptions
from durabletask.protocol import dialects, messages, methods
from durabletask.transport.engine_detection import Engine
from durabletask.worker._sync_transport import SyncTransportAdapter
from durabletask.worker._transport import message_limit_metadata, transport_factory
from tests.builders.worker import OURS


class Stream:
    """Blocks its reader's thread until the test says something."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        said = self.said.get(timeout=20)
        if said is None:
            raise StopIteration
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        self.said.put(None)


class Threaded:
    """A transport for threads that notes where it was called."""

    address = "a test"

    def __init__(self) -> None:
        self.opened = Stream()
        self.callers: list[threading.Thread] = []
        self.is_closed = False

    def unary(self, method: methods.Method, request: Any, **_: object) -> Any:
        self.callers.append(threading.current_thread())
        if method is methods.START_INSTANCE:
            raise ValueError("refused")
        return request

    def stream(self, *_: object, **__: object) -> Stream:
        return self.opened

    def identify_engine(self, *, timeout: float | None = None) -> Engine:
        self.callers.append(threading.current_thread())
        return OURS

    def close(self) -> None:
        self.is_closed = True


async def test_calls_run_on_threads_and_return_to_the_loop() -> None:
    threaded = Threaded()
    bridged = SyncTransportAdapter(threaded)
    request = messages.Empty()

    answers = await asyncio.gather(*(bridged.unary(methods.HELLO, request) for _ in range(50)))

    assert answers == [request] * 50
    assert threading.current_thread() not in threaded.callers
    await bridged.close()
    assert threaded.is_closed


async def test_who_is_there_is_asked_on_a_thread() -> None:
    threaded = Threaded()
    bridged = SyncTransportAdapter(threaded)

    assert await bridged.identify_engine() is OURS

    assert threading.current_thread() not in threaded.callers
    await bridged.close()


async def test_an_error_is_raised_where_the_call_is_awaited() -> None:
    bridged = SyncTransportAdapter(Threaded())

    with pytest.raises(ValueError, match="refused"):
        await bridged.unary(methods.START_INSTANCE, messages.Empty())

    await bridged.close()


async def test_a_stream_is_read_to_its_end() -> None:
    threaded = Threaded()
    bridged = SyncTransportAdapter(threaded)
    for said in (b"1", b"2", None):
        threaded.opened.said.put(said)

    assert [raw async for raw in bridged.stream(methods.GET_WORK_ITEMS, None)] == [b"1", b"2"]
    await bridged.close()


async def test_a_stream_that_breaks_raises_its_error() -> None:
    threaded = Threaded()
    threaded.opened.said.put(OSError("cut"))

    with pytest.raises(OSError, match="cut"):
        await anext(aiter(SyncTransportAdapter(threaded).stream(methods.GET_WORK_ITEMS, None)))


async def test_a_reader_that_is_cancelled_leaves_no_thread_behind() -> None:
    threaded = Threaded()
    before = set(threading.enumerate())
    stream = SyncTransportAdapter(threaded).stream(methods.GET_WORK_ITEMS, None)
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    (reader,) = set(threading.enumerate()) - before

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await stream.aclose()
    await asyncio.to_thread(reader.join, 20)

    assert not reader.is_alive()


# Which transport a worker gets.


def connect(channel: Any = None, interceptors: Any = None) -> Any:
    return transport_factory(
        "localhost:1",
        secure=False,
        channel=channel,
        interceptors=interceptors,
        channel_options=None,
        metadata=None,
        dialect=dialects.TASKHUB,
    )


class ForThreads(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details, request)


class ForLoops(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)


@pytest.mark.parametrize(
    ("interceptors", "is_bridged"),
    [(None, False), ([], False), ([ForLoops()], False), ([ForThreads()], True)],
    ids=["none", "empty", "asyncio", "threads"],
)
async def test_interceptors_for_threads_are_bridged(interceptors: Any, is_bridged: bool) -> None:
    transport = connect(interceptors=interceptors)()

    assert isinstance(transport, SyncTransportAdapter) is is_bridged
    await transport.close()


async def test_a_channel_for_threads_is_bridged_and_stays_open() -> None:
    with grpc.insecure_channel("localhost:1") as channel:
        transport = connect(channel=channel)()

        assert isinstance(transport, SyncTransportAdapter)
        await transport.close()
        channel.unary_unary("/a/b")


async def test_a_channel_for_loops_is_used_as_it_is() -> None:
    async with grpc.aio.insecure_channel("localhost:1") as channel:
        assert not isinstance(connect(channel=channel)(), SyncTransportAdapter)


# What a worker says about itself.


@pytest.mark.parametrize(
    ("options", "announced"),
    [
        (None, 64 * 1024 * 1024),
        (GrpcChannelOptions(max_receive_message_length=1000), 1000),
        (GrpcChannelOptions(max_receive_message_length=-1), 2**31 - 1),
    ],
    ids=["default", "own", "unlimited"],
)
def test_the_sidecar_is_told_how_large_a_message_may_be(
    options: GrpcChannelOptions | None, announced: int
) -> None:
    told = message_limit_metadata(
        "localhost:1", secure=False, channel=None, channel_options=options
    )

    assert told == (("x-durabletask-max-message", str(announced)),)


def test_nothing_is_said_about_the_limit_of_a_channel_of_the_callers() -> None:
    with grpc.insecure_channel("localhost:1") as channel:
        assert (
            message_limit_metadata(None, secure=False, channel=channel, channel_options=None) == ()
        )


def test_interceptors_of_both_kinds_are_refused_when_the_worker_is_made() -> None:
    with pytest.raises(ValueError, match="interceptors"):
        connect(interceptors=[ForThreads(), ForLoops()])
