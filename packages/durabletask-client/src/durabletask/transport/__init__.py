"""How the SDK reaches a sidecar: the seam that client and worker are written against.

A transport carries one request of the protocol and brings back its response, or a
stream of them. gRPC is one implementation; a fake of some 40 lines in the tests is
another. Whatever carries the calls raises the errors of `durabletask.transport.errors`.

Knows nothing about orchestrations, and imports gRPC only when a gRPC transport is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from durabletask.transport.health import ChannelHealth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    import grpc
    import grpc.aio

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport.dialect import Engine
    from durabletask.transport.errors import Refusal, SidecarError

__all__ = [
    "DEFAULT_PATIENCE",
    "DEFAULT_TIMEOUT",
    "AsyncByteStream",
    "AsyncClientTransport",
    "AsyncTransport",
    "ByteStream",
    "ClientTransport",
    "Metadata",
    "Transport",
    "grpc_async_transport",
    "grpc_transport",
]

Metadata = tuple[tuple[str, "str | bytes"], ...]

DEFAULT_TIMEOUT = 30.0
"""Seconds that a unary call may take when its caller does not say: nothing hangs."""

DEFAULT_PATIENCE = 0.8
"""Seconds for which a failed call is repeated: an unreachable address is an error within one."""


class ByteStream(Protocol):
    """The responses of a streaming call, each as the bytes that arrived."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None:
        """End the call; whoever is waiting in `__next__` sees the end of the stream."""


class AsyncByteStream(Protocol):
    """The responses of a streaming call, each as the bytes that arrived."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """End the call; whoever is waiting in `__anext__` sees the end of the stream."""


class Transport(Protocol):
    """Carries calls to a sidecar from ordinary threads; safe to share between them."""

    @property
    def address(self) -> str:
        """The sidecar's address, for people to read."""

    def settle(self, *, timeout: float | None = None) -> Engine:
        """Who is at the other end; asked once for each channel, unless it was said.

        Every call does so by itself. `timeout` is as for `unary`.
        """

    def unary(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Any:
        """Return the response, a message of `method.response_class()`.

        `timeout` is in seconds and covers repetitions too; None means `DEFAULT_TIMEOUT`.
        """

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> ByteStream:
        """Open a stream of responses. It is never repeated; None means no deadline."""

    def close(self) -> None:
        """End all calls and refuse new ones. A channel that the caller gave stays open."""


class ClientTransport(Transport, Protocol):
    """What clients need beside: answers that come in pieces, and errors of their own."""

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`, as a call would raise it."""

    def collect(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> list[Any]:
        """Return all responses of a streaming method once the last one is there.

        `timeout` is as for `unary`. What is repeated after a failure is the whole call.
        """


class AsyncTransport(Protocol):
    """Carries calls to a sidecar from an event loop."""

    @property
    def address(self) -> str:
        """The sidecar's address, for people to read."""

    async def settle(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
    ) -> Engine:
        """Who is at the other end; asked once for each channel, unless it was said.

        Every call does so by itself. `timeout` is as for `unary`.
        """

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> Any:
        """Return the response, a message of `method.response_class()`.

        `timeout` is in seconds and covers repetitions too; None means `DEFAULT_TIMEOUT`.
        """

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> AsyncByteStream:
        """Open a stream of responses. It is never repeated; None means no deadline."""

    async def close(self) -> None:
        """End all calls and refuse new ones. A channel that the caller gave stays open."""


class AsyncClientTransport(AsyncTransport, Protocol):
    """What clients need beside: answers that come in pieces, and errors of their own."""

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`, as a call would raise it."""

    async def collect(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> list[Any]:
        """Return all responses of a streaming method once the last one is there.

        `timeout` is as for `unary`. What is repeated after a failure is the whole call.
        """


def grpc_transport(
    address: str | None = None,
    *,
    secure: bool | grpc.ChannelCredentials = False,
    channel: grpc.Channel | None = None,
    interceptors: Sequence[Any] | None = None,
    channel_options: GrpcChannelOptions | None = None,
    metadata: Sequence[tuple[str, str | bytes]] | None = None,
    dialect: Dialect | None = None,
    patience: float = DEFAULT_PATIENCE,
    health: ChannelHealth | None = None,
) -> ClientTransport:
    """A transport over gRPC for ordinary threads; see `grpc_async_transport`."""
    from durabletask.transport import calls
    from durabletask.transport import channel as channels

    source = channels.source(address, secure, channel, interceptors, channel_options)
    return calls.GrpcTransport(
        source,
        metadata=_metadata(address, secure, channel, metadata, dialect),
        dialect=dialect,
        patience=patience,
        health=health or ChannelHealth(),
    )


def grpc_async_transport(
    address: str | None = None,
    *,
    secure: bool | grpc.ChannelCredentials = False,
    channel: grpc.aio.Channel | None = None,
    interceptors: Sequence[Any] | None = None,
    channel_options: GrpcChannelOptions | None = None,
    metadata: Sequence[tuple[str, str | bytes]] | None = None,
    dialect: Dialect | None = None,
    patience: float = DEFAULT_PATIENCE,
    health: ChannelHealth | None = None,
) -> AsyncClientTransport:
    """A transport over gRPC for an event loop.

    The channel is made by the first call, and made anew after a fork or on another loop.

    Args:
        address: `None` means `DURABLETASK_ENDPOINT`, then `DAPR_GRPC_ENDPOINT`, then
            `DAPR_GRPC_PORT`, then `localhost:4001`. The prefixes `https://` and `grpcs://`
            force TLS, `http://` and `grpc://` forbid it.
        secure: Use TLS when the address has no such prefix; credentials say whom to trust and
            what to show, where True goes by gRPC's own list of authorities.
        channel: A channel of the caller's, who closes it. `address`, `secure`,
            `interceptors`, `channel_options` and `metadata` are then not used.
        interceptors: gRPC's client interceptors; they see requests and responses as bytes.
        channel_options: These win over the SDK's defaults (64 MiB messages, no proxy to
            loopback addresses).
        metadata: Sent with every call. `DAPR_API_TOKEN` is added as `dapr-api-token` where
            `api_token.py` finds that the engine is Dapr's.
        dialect: The contract that the engine speaks; None finds it out, once for each channel
            and as part of its first call.
        patience: Seconds for which a call that can safely be repeated is repeated while the
            sidecar cannot be reached; 0 to leave that to the caller.
        health: When to give up a channel that seems broken; by default after five failures in
            a row, and every 30 seconds at most.
    """
    from durabletask.transport import calls
    from durabletask.transport import channel as channels

    source = channels.async_source(address, secure, channel, interceptors, channel_options)
    return calls.GrpcAsyncTransport(
        source,
        metadata=_metadata(address, secure, channel, metadata, dialect),
        dialect=dialect,
        patience=patience,
        health=health or ChannelHealth(),
    )


def _metadata(
    address: str | None,
    secure: bool | grpc.ChannelCredentials,  # noqa: FBT001 - in the order of the transports
    channel: Any,
    metadata: Sequence[tuple[str, str | bytes]] | None,
    dialect: Dialect | None,
) -> Metadata:
    if channel is not None:
        return ()
    from durabletask.transport import address as addresses
    from durabletask.transport import api_token, bearer_token

    resolved = addresses.resolve(address, secure=secure)
    sent = tuple(metadata or ())
    bearer_token.warn_if_exposed(sent, resolved)
    return api_token.with_token(
        sent, dialect, is_likely=resolved.is_loopback or addresses.is_of_dapr(address)
    )
