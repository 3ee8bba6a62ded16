"""A batch stream behind the interface of a gRPC channel: each call of a `Peer` is one in a batch."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc.aio

from durabletask.protocol import batch_stream, methods
from durabletask.protocol.in_process import Failure
from durabletask.protocol.metadata_keys import MAX_MESSAGE_KEY
from durabletask.transport.async_batch_stream import AsyncBatchStream
from durabletask.transport.async_batched_calls import unary_in_batch
from tests.builders.in_process_channel import InProcessStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durabletask.transport.multiplexer import CallFailure

_METHODS = {method.path: method for method in methods.ALL}

# What a worker receives that says nothing else: gRPC's default.
_RECEIVE_LIMIT = 4 * 1024 * 1024


@asynccontextmanager
async def batch_channel(
    channel: grpc.aio.Channel, *, limit: int = _RECEIVE_LIMIT, metadata: Any = ()
) -> AsyncIterator[BatchChannel]:
    """An open batch stream on a channel, whose peer receives work items of `limit` bytes."""
    open_rpc: Any = channel.stream_stream(batch_stream.PATH)
    announced = (MAX_MESSAGE_KEY, str(limit + batch_stream.ENTRY_BYTES))
    stream = AsyncBatchStream(
        partial(open_rpc, metadata=(*metadata, announced)),
        batch_stream.FULL_BATCH,
        lambda *_: None,
    )
    await stream.decided
    assert stream.is_open, stream.failure
    try:
        yield BatchChannel(stream)
    finally:
        stream.close()


class BatchChannel:
    """Stands in for one connection: closing its stream breaks off its calls."""

    def __init__(self, stream: AsyncBatchStream) -> None:
        self.stream = stream

    async def close(self) -> None:
        """Break off what is under way."""
        self.stream.close()

    def unary_unary(self, path: str) -> Any:
        async def call(raw: bytes, *, metadata: Any = (), **options: float) -> bytes:
            response = await unary_in_batch(
                self.stream, _METHODS[path], raw, options["timeout"], metadata
            )
            assert response is not None, "the call was not sent"
            return response

        return call

    def unary_stream(self, path: str) -> Any:
        def call(raw: bytes, *, metadata: Any = (), timeout: float | None = None) -> BatchedStream:
            stream = BatchedStream(timeout)
            stream.cancel = self.stream.call(_METHODS[path], raw, stream, metadata)
            return stream

        return call


class BatchedStream(InProcessStream):
    """What is read of a call with many responses."""

    def received(self, responses: list[bytes]) -> None:
        self.receive(responses)

    def ended(self, failure: CallFailure | None) -> None:
        self.end(None if failure is None else Failure(failure.status, failure.details))
