from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import pytest

from durabletask.protocol import messages, methods
from durabletask.transport.engine_detection import Engine
from durabletask.worker._sync_transport import SyncTransportAdapter
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


class SyncTransport:
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
    transport = SyncTransport()
    adapter = SyncTransportAdapter(transport)
    request = messages.Empty()

    answers = await asyncio.gather(*(adapter.unary(methods.HELLO, request) for _ in range(50)))

    assert answers == [request] * 50
    assert threading.current_thread() not in transport.callers
    await adapter.close()
    assert transport.is_closed


async def test_the_engine_is_identified_on_a_thread() -> None:
    transport = SyncTransport()
    adapter = SyncTransportAdapter(transport)

    assert await adapter.identify_engine() is OURS

    assert threading.current_thread() not in transport.callers
    await adapter.close()


async def test_an_error_is_raised_where_the_call_is_awaited() -> None:
    adapter = SyncTransportAdapter(SyncTransport())

    with pytest.raises(ValueError, match="refused"):
        await adapter.unary(methods.START_INSTANCE, messages.Empty())

    await adapter.close()


async def test_a_stream_is_read_to_its_end() -> None:
    transport = SyncTransport()
    adapter = SyncTransportAdapter(transport)
    for said in (b"1", b"2", None):
        transport.opened.said.put(said)

    assert [raw async for raw in adapter.stream(methods.GET_WORK_ITEMS, None)] == [b"1", b"2"]
    await adapter.close()


async def test_a_stream_that_breaks_raises_its_error() -> None:
    transport = SyncTransport()
    transport.opened.said.put(OSError("cut"))

    with pytest.raises(OSError, match="cut"):
        await anext(aiter(SyncTransportAdapter(transport).stream(methods.GET_WORK_ITEMS, None)))


async def test_a_reader_that_is_cancelled_leaves_no_thread_behind() -> None:
    transport = SyncTransport()
    before = set(threading.enumerate())
    stream = SyncTransportAdapter(transport).stream(methods.GET_WORK_ITEMS, None)
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    (reader,) = set(threading.enumerate()) - before

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await stream.aclose()
    await asyncio.to_thread(reader.join, 20)

    assert not reader.is_alive()
