"""Channels: their options, and when they are made.

A channel is made when the first call needs it, and made anew in a forked process, where the
old one's threads do not exist. An asyncio channel belongs to the loop that made it, so that
is made anew when the loop has changed as well. A channel that the caller gave is never
replaced and never closed.

Knows nothing about calls.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import grpc
import grpc.aio

from durabletask.transport import address as addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durabletask.grpc_options import GrpcChannelOptions
    from durabletask.transport.address import Address
    from durabletask.transport.dialect import Engine

# Credentials say which authorities to trust and what to show; True means gRPC's own.
Secure: TypeAlias = bool | grpc.ChannelCredentials

C = TypeVar("C", bound="grpc.Channel | grpc.aio.Channel")

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_DEFAULT_OPTIONS: dict[str, Any] = {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    # A sidecar that was just started is found at once, and one that was away for an hour
    # within a second; gRPC's own values are one second and two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    # In spite of its name this limits an attempt to connect: 5 s, where gRPC allows 20.
    "grpc.min_reconnect_backoff_ms": 5000,
    # Else a channel that is made anew gets the very connections that the old one had.
    "grpc.use_local_subchannel_pool": 1,
}


def options_for(
    address: Address, channel_options: GrpcChannelOptions | None
) -> list[tuple[str, Any]]:
    """The arguments of a channel to `address`: ours, where `channel_options` says nothing."""
    options = dict(_DEFAULT_OPTIONS)
    if address.is_loopback:
        # With http_proxy set, gRPC would send even 127.0.0.1 to the proxy.
        options["grpc.enable_http_proxy"] = 0
    if channel_options is not None:
        options.update(channel_options.to_grpc_options())
    return list(options.items())


@dataclass(slots=True)
class Connection(Generic[C]):
    """A channel, the callables that were made for it, and who answers at its other end.

    `engine` is None until somebody has found out; whoever does so holds `finding_out`, which
    is of the kind that the channel's calls can wait for.
    """

    channel: C
    finding_out: Any
    callables: dict[tuple[str, bool], Any] = field(default_factory=dict)
    engine: Engine | None = None

    def unary(self, path: str) -> Any:
        """The callable of a unary method, bytes in and bytes out."""
        return self._callable(path, streaming=False)

    def stream(self, path: str) -> Any:
        """The callable of a method with a stream of responses, bytes in and bytes out."""
        return self._callable(path, streaming=True)

    def _callable(self, path: str, *, streaming: bool) -> Any:
        found = self.callables.get((path, streaming))
        if found is None:
            make = self.channel.unary_stream if streaming else self.channel.unary_unary
            found = self.callables[path, streaming] = make(path)
        return found


class ChannelSource(Protocol[C]):
    """Where a transport gets its channel, anew for each call."""

    @property
    def label(self) -> str:
        """What to call the other end in texts."""

    def connection(self) -> Connection[C]:
        """The channel for a call that begins now."""

    def renew(self) -> None:
        """Let later calls use another channel; the old one ends with its last call."""

    def take(self) -> C | None:
        """Refuse later calls, and hand over the channel if it is ours to close."""


class GivenChannel(Generic[C]):
    """A channel of the caller's."""

    label = "the sidecar of the given channel"

    def __init__(self, channel: C, make_lock: Callable[[], Any]) -> None:
        self._connection = Connection(channel, make_lock())

    def connection(self) -> Connection[C]:
        return self._connection

    def renew(self) -> None:
        """Change nothing: the caller decides how long the channel lives."""

    def take(self) -> C | None:
        """Change nothing: as in the official SDK, the caller may go on using it."""
        return None


class OwnChannel(Generic[C]):
    """A channel that is made when it is needed and belongs to us.

    There is no lock, since a fork could leave it locked for ever: threads that come first at
    once may make a channel each, and all of them use the one that was kept first. What was
    found out about the engine belongs to the channel, and ends with it.
    """

    def __init__(
        self,
        label: str,
        make: Callable[[], C],
        owner: Callable[[], object],
        make_lock: Callable[[], Any],
    ) -> None:
        self.label = label
        self._make = make
        self._owner = owner
        self._make_lock = make_lock
        self._kept: dict[object, Connection[C]] = {}
        self._closed = False

    def connection(self) -> Connection[C]:
        if self._closed:
            raise RuntimeError("The client is closed")
        owner = self._owner()
        kept = self._kept
        connection = kept.get(owner)
        if connection is None:
            made = Connection(self._make(), self._make_lock())
            # Atomic, as a lookup and an assignment would not be.
            connection = kept.setdefault(owner, made)
            for other in list(kept):
                if other != owner:
                    kept.pop(other, None)
        return connection

    def renew(self) -> None:
        self._kept = {}

    def take(self) -> C | None:
        self._closed = True
        kept, self._kept = self._kept, {}
        connection = kept.get(self._owner())
        return None if connection is None else connection.channel


def source(
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
    credentials = _credentials(secure, address)

    def make() -> grpc.Channel:
        made = (
            grpc.secure_channel(address.target, credentials, options)
            if credentials is not None
            else grpc.insecure_channel(address.target, options)
        )
        return grpc.intercept_channel(made, *interceptors) if interceptors else made

    return OwnChannel(str(address), make, os.getpid, threading.Lock)


def async_source(
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
    credentials = _credentials(secure, address)

    def make() -> grpc.aio.Channel:
        if credentials is not None:
            return grpc.aio.secure_channel(
                address.target, credentials, options, interceptors=interceptors
            )
        return grpc.aio.insecure_channel(address.target, options, interceptors=interceptors)

    # The loop itself, not its id(): a new loop may stand where an old one was.
    return OwnChannel(str(address), make, _process_and_loop, asyncio.Lock)


def _credentials(secure: Secure, address: Address) -> grpc.ChannelCredentials | None:
    """What to speak TLS with; None where it is not spoken."""
    if not address.secure:
        return None
    if isinstance(secure, grpc.ChannelCredentials):
        return secure
    return grpc.ssl_channel_credentials()


def _process_and_loop() -> tuple[int, asyncio.AbstractEventLoop | None]:
    try:
        return os.getpid(), asyncio.get_running_loop()
    except RuntimeError:
        return os.getpid(), None
