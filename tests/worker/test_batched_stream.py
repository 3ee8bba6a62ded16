"""The stream of work items in batches, as the worker's event loop sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from durabletask.protocol.messages import GetWorkItemsRequest
from durabletask.worker._batched_stream import BatchedStream
from tests.builders.batched_calls import BatchingSidecar
from tests.builders.worker import settle
from tests.builders.worker_host import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@pytest.fixture
async def sidecar() -> AsyncIterator[BatchingSidecar]:
    sidecar = BatchingSidecar()
    yield sidecar
    await asyncio.to_thread(sidecar.connection.close)
    assert sidecar.connection.errors == []


def opened(sidecar: BatchingSidecar) -> BatchedStream:
    """A stream that leaves every message to the event loop."""

    def leave(messages: Sequence[bytes]) -> Sequence[bytes]:
        return messages

    return BatchedStream(sidecar.batched_calls(), GetWorkItemsRequest(), (), leave)


async def read_all(stream: BatchedStream) -> list[bytes]:
    return [raw async for raw in stream]


async def test_closing_ends_every_read_that_waits(sidecar: BatchingSidecar) -> None:
    stream = opened(sidecar)
    readers = [asyncio.create_task(read_all(stream)) for _ in range(3)]
    await settle()

    await stream.aclose()

    assert await within(asyncio.gather(*readers)) == [[], [], []]
    assert sidecar.batched_streams[0].is_closed


async def test_a_closed_stream_gives_nothing_that_was_not_read(sidecar: BatchingSidecar) -> None:
    stream = opened(sidecar)
    sidecar.batched_streams[0].send(b"left over")
    await sidecar.connection.idle()

    await stream.aclose()

    assert await within(read_all(stream)) == []


async def test_a_stream_that_has_ended_ends_every_later_read(sidecar: BatchingSidecar) -> None:
    stream = opened(sidecar)
    sidecar.batched_streams[0].send(b"work")
    sidecar.batched_streams[0].end()

    assert await within(read_all(stream)) == [b"", b"work"]
    assert await within(read_all(stream)) == []


async def test_an_error_that_ended_the_stream_is_raised_once(sidecar: BatchingSidecar) -> None:
    stream = opened(sidecar)
    sidecar.batched_streams[0].end(RuntimeError("the connection is closed"))

    with pytest.raises(RuntimeError, match="the connection is closed"):
        await within(read_all(stream))
    assert await within(read_all(stream)) == []
