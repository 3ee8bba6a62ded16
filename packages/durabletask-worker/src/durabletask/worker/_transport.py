"""Reach the sidecar: make the transport, hold the current one, and replace it.

The stream of work items and the completions share one transport. gRPC reconnects a channel
that failed after longer and longer delays; a new channel connects at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from durabletask.protocol import messages, methods
from durabletask.protocol.metadata_keys import EXTENDED_SESSIONS_KEY, MAX_MESSAGE_KEY
from durabletask.transport import address as addresses
from durabletask.transport import grpc_async_transport, grpc_transport
from durabletask.transport.batched_calls import batched_calls_of
from durabletask.transport.errors import SidecarError

from ._work_items import ConnectedEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc
    import grpc.aio

    from durabletask.core.settings import Settings
    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.protocol.dialects import Dialect
    from durabletask.transport import AsyncTransport, Metadata, Transport
    from durabletask.transport.batched_calls import BatchedCalls


class TransportHolder:
    """The current transport; made by `connect` when it is first needed, and after `close`."""

    def __init__(self, connect: Callable[[], AsyncTransport], settings: Settings) -> None:
        self._connect = connect
        self._settings = settings
        self._transport: AsyncTransport | None = None
        self._batched_calls: BatchedCalls | None = None

    def current(self) -> AsyncTransport:
        if self._transport is None:
            self._transport = self._connect()
        return self._transport

    async def identify_engine(self) -> ConnectedEngine:
        """Which engine the transport is connected to; the transport asks it once."""
        transport = self.current()
        engine = await transport.identify_engine()
        self._batched_calls = batched_calls_of(transport)
        return ConnectedEngine.of(engine, self._settings)

    def batched_calls(self) -> BatchedCalls | None:
        """The calls in batches of the engine that was identified, if it takes them; any thread."""
        return self._batched_calls

    async def fetch_history(self, instance_id: str) -> list[messages.HistoryEvent]:
        """The instance's whole history, from engines that have this method."""
        request = messages.GetInstanceHistoryRequest(instance_id=instance_id)
        response: messages.GetInstanceHistoryResponse = await self.current().unary(
            methods.GET_INSTANCE_HISTORY, request
        )
        return response.events

    async def close(self) -> None:
        """Close the transport; its calls in flight end CANCELLED, and are sent again."""
        transport, self._transport = self._transport, None
        self._batched_calls = None
        if transport is not None:
            await transport.close()


def status_of(error: Exception) -> str | None:
    """The name of the gRPC status that the error carries; None if it carries none."""
    if isinstance(error, SidecarError):
        # Without importing gRPC, which its code() does.
        return error.refusal.status
    code: Any = getattr(error, "code", None)
    status = code() if callable(code) else None
    return getattr(status, "name", None)


def transport_factory(
    address: str | None,
    *,
    secure: bool | grpc.ChannelCredentials,
    channel: grpc.Channel | grpc.aio.Channel | None,
    interceptors: Sequence[Any] | None,
    channel_options: GrpcChannelOptions | None,
    metadata: Sequence[tuple[str, str]] | None,
    dialect: Dialect | None,
) -> Callable[[], AsyncTransport]:
    """A function that makes a transport, to be called in the worker's event loop.

    With a `dialect` of None the transport finds it out.
    Raises ValueError if interceptors of `grpc` and of `grpc.aio` are mixed.
    """
    is_sync = _is_sync(channel, interceptors)
    make = partial(
        cast("Any", grpc_transport if is_sync else grpc_async_transport),
        address,
        secure=secure,
        channel=channel,
        interceptors=interceptors,
        channel_options=channel_options,
        metadata=tuple(metadata or ()),
        dialect=dialect,
        # The worker retries by itself, for longer, and stops when it is told to.
        patience=0,
    )
    return partial(_adapted, make) if is_sync else make


def _adapted(make: Callable[[], Transport]) -> AsyncTransport:
    # Late: it needs asyncio, which a program that only makes its workers does not need yet.
    from ._sync_transport import SyncTransportAdapter

    return SyncTransportAdapter(make())


def message_limit_metadata(
    address: str | None,
    *,
    secure: bool | grpc.ChannelCredentials,
    channel: grpc.Channel | grpc.aio.Channel | None,
    channel_options: GrpcChannelOptions | None,
) -> Metadata:
    """What tells our own sidecar how large a work item may be; other engines ignore it.

    Empty for a channel of the caller's, whose limit cannot be read: the sidecar then
    applies gRPC's default.
    """
    if channel is not None:
        return ()
    from durabletask.transport.channel_options import message_limit, options_for

    options = options_for(addresses.resolve(address, secure=secure), channel_options)
    return ((MAX_MESSAGE_KEY, str(message_limit(options, "receive"))),)


def sessions_metadata(max_cached_orchestrations: int) -> Metadata:
    """What tells our own sidecar that it need not send history twice; others ignore it."""
    return ((EXTENDED_SESSIONS_KEY, "1"),) if max_cached_orchestrations else ()


def _is_sync(
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
        raise ValueError("Pass interceptors of grpc or of grpc.aio, and not of both.")
    return kinds.pop()
