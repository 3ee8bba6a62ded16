"""Channels, and when they are made.

A channel is made when the first call needs it, and made anew in a forked process, where the
old one's threads do not exist. An asyncio channel belongs to the loop that made it, so it is
made anew when the loop has changed as well. A channel that the caller gave is never replaced
and never closed. `sync_io.py` and `async_io.py` make the channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.transport.address import Address
    from durabletask.transport.engine_detection import Engine

# Credentials hold the authorities to trust and the certificate to show; True means gRPC's own.
Secure: TypeAlias = bool | grpc.ChannelCredentials

C = TypeVar("C", bound="grpc.Channel | grpc.aio.Channel")


@dataclass(slots=True)
class Connection(Generic[C]):
    """A channel, the callables that were made for it, and the engine at its other end.

    `engine` is None until it is detected. The call that detects it holds `detecting`, a lock
    of the kind that the channel's calls can wait for.
    """

    channel: C
    detecting: Any
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
        """The name of the other end in logs and errors."""

    def connection(self) -> Connection[C]:
        """The channel for a call that begins now."""

    def renew(self) -> None:
        """Let later calls use another channel; the old one ends with its last call."""

    def take(self) -> C | None:
        """Refuse later calls, and hand over the channel if it is ours to close."""


class GivenChannel(Generic[C]):
    """A channel that the caller made, and closes."""

    label = "the sidecar of the given channel"

    def __init__(self, channel: C, make_lock: Callable[[], Any]) -> None:
        self._connection = Connection(channel, make_lock())

    def connection(self) -> Connection[C]:
        return self._connection

    def renew(self) -> None:
        """Do nothing: the caller decides how long the channel lives."""

    def take(self) -> C | None:
        """Do nothing: as in the official SDK, the caller may go on using the channel."""
        return None


class OwnChannel(Generic[C]):
    """A channel that is made when it is needed, and closed with the transport.

    There is no lock, since a fork could leave it locked for ever: threads whose first calls
    coincide may make a channel each, and all of them use the one that was kept first. The
    detected engine belongs to the channel, and is forgotten with it.
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
            # Atomic, unlike a lookup followed by an assignment.
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


def credentials_for(secure: Secure, address: Address) -> grpc.ChannelCredentials | None:
    """The credentials for TLS; None for plain text."""
    if not address.secure:
        return None
    if isinstance(secure, grpc.ChannelCredentials):
        return secure
    return grpc.ssl_channel_credentials()
