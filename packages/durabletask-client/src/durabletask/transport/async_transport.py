"""How the SDK reaches a sidecar from an event loop: the interface, and the transport over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from durabletask.transport.limits import DEFAULT_PATIENCE, ChannelHealth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import grpc.aio

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.engine_detection import Engine
    from durabletask.transport.errors import Refusal, SidecarError


class AsyncByteStream(Protocol):
    """The responses of a streaming call, each as the bytes that arrived."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """End the call; a pending `__anext__` sees the end of the stream."""


class AsyncTransport(Protocol):
    """Carries calls to a sidecar from an event loop."""

    @property
    def address(self) -> str:
        """The sidecar's address, for logs and errors."""

    async def identify_engine(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
    ) -> Engine:
        """The engine at the other end; detected once for each channel, unless it was named.

        Every call does so by itself. `timeout` is as for `unary`.
        """

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
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
        """End all calls and refuse new ones, with RuntimeError.

        A channel that the caller gave stays open, and its calls go on.
        """


class AsyncClientTransport(AsyncTransport, Protocol):
    """What clients need in addition: whole answers of streaming methods, and errors to raise."""

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`, as a call would raise it."""

    async def collect(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
        metadata: Metadata = (),
    ) -> list[Any]:
        """Return all responses of a streaming method once the last one has arrived.

        `timeout` is as for `unary`. After a failure the whole call is repeated.
        """


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
    """A transport over gRPC for an event loop, and without gRPC to a sidecar of this process.

    The channel is made by the first call, and made anew after a fork or on another loop. A
    call goes to a `Sidecar` of this process instead if that has the address then, and neither
    `channel`, `interceptors`, `channel_options`, TLS or Dapr's dialect were asked for nor
    `DURABLETASK_IN_PROCESS` is 0.

    Args:
        address: `None` means `DURABLETASK_ENDPOINT`, then `DAPR_GRPC_ENDPOINT`, then
            `DAPR_GRPC_PORT`, then `localhost:4001`. The prefixes `https://` and `grpcs://`
            force TLS, `http://` and `grpc://` forbid it.
        secure: Use TLS when the address has no such prefix. Credentials name the authorities to
            trust and the certificate to show; True trusts gRPC's own list of authorities.
        channel: A channel of the caller's, who closes it. `address`, `secure`,
            `interceptors`, `channel_options` and `metadata` are then not used.
        interceptors: gRPC's client interceptors; they see requests and responses as bytes.
        channel_options: These win over the SDK's defaults (64 MiB messages, no proxy to
            loopback addresses).
        metadata: Sent with every call. `DAPR_API_TOKEN` is added as `dapr-api-token` where
            `tokens.py` finds that the engine is Dapr's.
        dialect: The dialect that the engine speaks; None detects it, once for each channel and
            as part of its first call. With a dialect that is named, calls go one by one.
        patience: Seconds for which a call that can safely be repeated is repeated while the
            sidecar cannot be reached; 0 to leave that to the caller.
        health: When to give up a channel that seems broken; by default after five failures in
            a row, and every 30 seconds at most.
    """
    from durabletask.transport import in_process_calls, tokens

    health = health or ChannelHealth()
    all_metadata = tokens.metadata_for(address, secure, channel, metadata, dialect)

    def over_grpc() -> AsyncClientTransport:
        from durabletask.transport import async_calls, async_io

        source = async_io.channel_source(address, secure, channel, interceptors, channel_options)
        return async_calls.GrpcAsyncTransport(
            source, metadata=all_metadata, dialect=dialect, patience=patience, health=health
        )

    in_process = in_process_calls.address_in_process(
        address,
        secure=secure,
        channel=channel,
        interceptors=interceptors,
        channel_options=channel_options,
        dialect=dialect,
    )
    if in_process is None:
        return over_grpc()
    from durabletask.transport.async_in_process import AsyncInProcessTransport

    return AsyncInProcessTransport(
        in_process, over_grpc, metadata=all_metadata, patience=patience, health=health
    )
