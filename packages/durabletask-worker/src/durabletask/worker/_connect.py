"""Choose the transport for what a worker was given to reach its sidecar with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from durabletask.transport import address as addresses
from durabletask.transport import grpc_async_transport, grpc_transport

from ._bridge import BridgedTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc
    import grpc.aio

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.protocol.dialects import Dialect
    from durabletask.transport import AsyncTransport, Metadata

MAX_MESSAGE_KEY = "x-durabletask-max-message"
EXTENDED_SESSIONS_KEY = "x-durabletask-extended-sessions"
# gRPC writes -1 for it; no message is larger than this.
_UNLIMITED = 2**31 - 1


def connector(
    address: str | None,
    *,
    secure: bool | grpc.ChannelCredentials,
    channel: grpc.Channel | grpc.aio.Channel | None,
    interceptors: Sequence[Any] | None,
    channel_options: GrpcChannelOptions | None,
    metadata: Sequence[tuple[str, str]] | None,
    dialect: Dialect | None,
) -> Callable[[], AsyncTransport]:
    """What makes a transport, to be called in the worker's event loop.

    A `dialect` of None is found out by the transport.
    Raises ValueError if some interceptors are made for threads and others for asyncio.
    """
    for_threads = _is_for_threads(channel, interceptors)
    make = partial(
        cast("Any", grpc_transport if for_threads else grpc_async_transport),
        address,
        secure=secure,
        channel=channel,
        interceptors=interceptors,
        channel_options=channel_options,
        metadata=tuple(metadata or ()),
        dialect=dialect,
        # The worker's own repetitions are more patient, and know when to stop.
        patience=0,
    )
    return (lambda: BridgedTransport(make())) if for_threads else make


def announcement(
    address: str | None,
    *,
    secure: bool | grpc.ChannelCredentials,
    channel: grpc.Channel | grpc.aio.Channel | None,
    channel_options: GrpcChannelOptions | None,
) -> Metadata:
    """What tells our own sidecar how large a work item this worker takes; others ignore it.

    Nothing about a caller's channel, which keeps its limit to itself: the sidecar then
    goes by gRPC's default.
    """
    if channel is not None:
        return ()
    from durabletask.transport.channel import options_for

    options = dict(options_for(addresses.resolve(address, secure=secure), channel_options))
    limit = options["grpc.max_receive_message_length"]
    return ((MAX_MESSAGE_KEY, str(limit if limit >= 0 else _UNLIMITED)),)


def sessions_announcement(max_cached_orchestrations: int) -> Metadata:
    """What tells our own sidecar that it need not send history twice; others ignore it."""
    return ((EXTENDED_SESSIONS_KEY, "1"),) if max_cached_orchestrations else ()


def _is_for_threads(
    channel: grpc.Channel | grpc.aio.Channel | None, interceptors: Sequence[Any] | None
) -> bool:
    if channel is None and not interceptors:
        return False
    # Whoever has one of these has imported gRPC.
    import grpc.aio

    if channel is not None:
        return not isinstance(channel, grpc.aio.Channel)
    kinds = {not isinstance(each, grpc.aio.ClientInterceptor) for each in interceptors or ()}
    if len(kinds) > 1:
        raise ValueError("interceptors must be all of grpc's kind or all of grpc.aio's.")
    return kinds.pop()
