"""How calls from ordinary threads do I/O: the same names as in `async_io.py`, blocking.

`sync_calls.py`, which is generated from `async_calls.py`, uses these names.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc

from durabletask.transport import address as addresses
from durabletask.transport.channel import (
    GivenChannel,
    OwnChannel,
    batch_limits,
    credentials_for,
    may_batch,
)
from durabletask.transport.channel_options import options_for
from durabletask.transport.sync_batch_stream import SyncBatchStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.transport import Metadata
    from durabletask.transport.batched_calls import BatchedCalls
    from durabletask.transport.channel import ChannelSource, Connection, Secure
    from durabletask.transport.grpc_call import GrpcCall
    from durabletask.transport.sync_calls import GrpcTransport

R = TypeVar("R")

Attempt: TypeAlias = Callable[[], R]

CANCELLED: tuple[type[BaseException], ...] = ()
"""Nothing: a thread cannot be cancelled, and gRPC raises an RpcError for a closed channel."""


def channel_source(
    host_address: str | None,
    secure: Secure,
    channel: grpc.Channel | None,
    interceptors: Sequence[Any] | None,
    channel_options: GrpcChannelOptions | None,
) -> ChannelSource[grpc.Channel]:
    """The channel for calls from threads: the caller's, or one of ours."""
    if channel is not None:
        return GivenChannel(channel, threading.Lock)
    address = addresses.resolve(host_address, secure=secure)
    options = options_for(address, channel_options)
    credentials = credentials_for(secure, address)

    def make() -> grpc.Channel:
        made = (
            grpc.secure_channel(address.target, credentials, options)
            if credentials is not None
            else grpc.insecure_channel(address.target, options)
        )
        return grpc.intercept_channel(made, *interceptors) if interceptors else made

    # Interceptors are made for the protocol's own calls.
    limits = None if interceptors else batch_limits(options)
    return OwnChannel(str(address), make, os.getpid, threading.Lock, limits)


def ask(send: Any, payload: bytes, timeout: float, metadata: Metadata) -> tuple[bytes, Any]:
    """Make a unary call; returns the response and the initial metadata."""
    response, rpc = send.with_call(payload, timeout=timeout, metadata=metadata)
    return response, rpc.initial_metadata()


def send(
    transport: GrpcTransport,
    connection: Connection[grpc.Channel],
    call: GrpcCall,
    payload: bytes,
    metadata: Metadata,
) -> bytes:
    """Make a unary call: on the batch stream while others are under way, else by itself."""
    if not may_batch(transport, connection, SyncBatchStream):
        return _alone(transport, connection, call, payload, metadata)
    under_way = connection.batches.under_way
    under_way.add(call)
    try:
        response = None
        if len(under_way) > 1:
            stream = connection.batches.open_stream(transport.clock.now)
            if stream is not None and stream.fits(call.method, payload, metadata):
                response = stream.unary(call.method, payload, call.left(), metadata)
        if response is None:
            response = _alone(transport, connection, call, payload, metadata)
        return response
    finally:
        under_way.discard(call)


def _alone(
    transport: GrpcTransport,
    connection: Connection[grpc.Channel],
    call: GrpcCall,
    payload: bytes,
    metadata: Metadata,
) -> bytes:
    unary = connection.unary(call.method.path)
    raw: bytes = unary(payload, timeout=call.left(), metadata=(*transport.metadata, *metadata))
    return raw


def batched_calls(
    _transport: GrpcTransport, _connection: Connection[grpc.Channel]
) -> BatchedCalls | None:
    """None: callbacks are for event loops."""
    return None


def close(connection: Connection[grpc.Channel]) -> None:
    """End all calls of the connection, and close its channel."""
    connection.batches.close()
    connection.channel.close()


def all_of(responses: Any) -> list[bytes]:
    """Read a stream to its end."""
    return [*responses]


def acquire(lock: threading.Lock, timeout: float) -> bool:
    """Wait for a lock; False if it was not free within `timeout` seconds."""
    return lock.acquire(timeout=timeout)


def is_caller_cancelled() -> bool:
    """True: a thread that raises anything of `CANCELLED` is its own caller."""
    return True
