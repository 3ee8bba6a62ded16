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
from durabletask.transport.channel import (
    GivenChannel,
    OwnChannel,
    credentials_for,
)
from durabletask.transport.channel_options import options_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.transport import Metadata
    from durabletask.transport.channel import ChannelSource, Secure

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

    # The loop itself, not its id(): a new loop may have the id of an old one.
    return OwnChannel(str(address), make, _process_and_loop, asyncio.Lock)


def _process_and_loop() -> tuple[int, asyncio.AbstractEventLoop | None]:
    try:
        return os.getpid(), asyncio.get_running_loop()
    except RuntimeError:
        return os.getpid(), None


async def ask(send: Any, payload: bytes, timeout: float, metadata: Metadata) -> tuple[bytes, Any]:  # noqa: ASYNC109 - the call's own
    """Make a unary call; returns the response and the initial metadata."""
    rpc = send(payload, timeout=timeout, metadata=metadata)
    return await rpc, await rpc.initial_metadata()


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
