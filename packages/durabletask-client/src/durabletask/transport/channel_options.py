"""The options of a gRPC channel. Does not import gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.transport.address import Address

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_DEFAULT_OPTIONS: dict[str, Any] = {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    # A sidecar that has just started is reached at once, and one that was away for an hour
    # within a second; gRPC's own values are one second and two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    # Despite its name this limits one attempt to connect: 5 s, where gRPC allows 20.
    "grpc.min_reconnect_backoff_ms": 5000,
    # Without this a new channel is given the connections of the old one.
    "grpc.use_local_subchannel_pool": 1,
}


# gRPC writes -1 for it; no message is larger than this.
_UNLIMITED = 2**31 - 1


def options_for(
    address: Address, channel_options: GrpcChannelOptions | None
) -> list[tuple[str, Any]]:
    """The options of a channel to `address`; `channel_options` win over the SDK's defaults."""
    options = dict(_DEFAULT_OPTIONS)
    if address.is_loopback:
        # With http_proxy set, gRPC would connect to 127.0.0.1 through the proxy.
        options["grpc.enable_http_proxy"] = 0
    if channel_options is not None:
        options.update(channel_options.to_grpc_options())
    return list(options.items())


def message_limit(options: Iterable[tuple[str, Any]], verb: str) -> int:
    """Bytes of the largest message that a channel with all these options may have.

    `verb` is "send" or "receive".
    """
    limit: int = dict(options)[f"grpc.max_{verb}_message_length"]
    return limit if limit >= 0 else _UNLIMITED
