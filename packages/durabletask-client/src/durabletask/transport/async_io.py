"""How calls from an event loop do I/O: the same names as in `sync_io.py`, for asyncio.

`async_calls.py` uses these names; the file generated from it uses those of `sync_io.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc.aio

from durabletask.transport import address as addresses
from durabletask.transport.async_batch_stream import AsyncBatchStream
from durabletask.transport.async_batched_calls import AsyncBatchedCalls, unary_in_batch
from durabletask.transport.channel import (
    GivenChannel,
    OwnChannel,
    batch_limits,
    credentials_for,
    may_batch,
)
from durabletask.transport.channel_options import options_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.transport import Metadata
    from durabletask.transport.async_calls import GrpcAsyncTransport
    from durabletask.transport.batched_calls import BatchedCalls
    from durabletask.transport.channel import ChannelSource, Connection, Secure
    from durabletask.transport.grpc_call import GrpcCall

R = TypeVar("R")

Attempt: TypeAlias = Callable[[], Awaitable[R]]

CANCELLED: tuple[type[BaseException], ...] = (asyncio.CancelledError,)
"""What is raised where a call, or its caller, is cancelled."""


def channel_source(
    host_address: str | None,
    secure: Secure,
    channel: grpc.aio.Channel | None,
    interceptors: Sequence[Any] | None,
    channel_options: GrpcChannelOptions | None,
) -> ChannelSource[grpc.aio.Channel]:
    """The channel for calls from an event loop: the caller's, or one of ours."""
    if channel is not None:
        return GivenChannel(channel, asyncio.Lock)
    address = addresses.resolve(host_address, secure=secure)
    options = options_for(address, channel_options)
    credentials = credentials_for(secure, address)

    def make() -> grpc.aio.Channel:
        if credentials is not None:
            return grpc.aio.secure_channel(
                address.target, credentials, options, interceptors=interceptors
            )
        return grpc.aio.insecure_channel(address.target, options, interceptors=interceptors)

    # Interceptors are made for the protocol's own calls.
    limits = None if interceptors else batch_limits(options)
    # The loop itself, not its id(): a new loop may have the id of an old one.
    return OwnChannel(str(address), make, _process_and_loop, asyncio.Lock, limits)


def _process_and_loop() -> tuple[int, asyncio.AbstractEventLoop | None]:
    try:
        return os.getpid(), asyncio.get_running_loop()
    except RuntimeError:
        return os.getpid(), None


async def ask(send: Any, payload: bytes, timeout: float, metadata: Metadata) -> tuple[bytes, Any]:  # noqa: ASYNC109 - the call's own
    """Make a unary call; returns the response and the initial metadata."""
    rpc = send(payload, timeout=timeout, metadata=metadata)
    return await rpc, await rpc.initial_metadata()


async def send(
    transport: GrpcAsyncTransport,
    connection: Connection[grpc.aio.Channel],
    call: GrpcCall,
    payload: bytes,
    metadata: Metadata,
) -> bytes:
    """Make a unary call: on the batch stream if that is open, and by itself otherwise."""
    if may_batch(transport, connection, AsyncBatchStream):
        stream = connection.batches.open_stream(transport.clock.now)
        if stream is not None and stream.fits(call.method, payload, metadata):
            response = await unary_in_batch(stream, call.method, payload, call.left(), metadata)
            if response is not None:
                return response
    unary = connection.unary(call.method.path)
    raw: bytes = await unary(
        payload, timeout=call.left(), metadata=(*transport.metadata, *metadata)
    )
    return raw


def batched_calls(
    transport: GrpcAsyncTransport, connection: Connection[grpc.aio.Channel]
) -> BatchedCalls | None:
    """Calls over the connection in batches; None if its engine takes none."""
    if not may_batch(transport, connection, AsyncBatchStream):
        return None
    return AsyncBatchedCalls(transport, connection)


async def close(connection: Connection[grpc.aio.Channel]) -> None:
    """End all calls of the connection, and close its channel."""
    connection.batches.close()
    await connection.channel.close()


async def all_of(responses: Any) -> list[bytes]:
    """Read a stream to its end."""
    return [raw async for raw in responses]


async def acquire(lock: asyncio.Lock, timeout: float) -> bool:  # noqa: ASYNC109 - of a call
    """Wait for a lock; False if it was not free within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            return await lock.acquire()
    except TimeoutError:
        return False


def is_caller_cancelled() -> bool:
    """Tell a caller that was cancelled from a call that ended because its channel was closed.

    gRPC raises CancelledError for both; passed on, the second would look to the caller's
    task group as if the task had been cancelled.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
