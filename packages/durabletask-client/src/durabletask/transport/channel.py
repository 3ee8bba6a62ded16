"""Channels, and when they are made.

A channel is made when the first call needs it, and made anew in a forked process, where the
old one's threads do not exist. An asyncio channel belongs to the loop that made it, so it is
made anew when the loop has changed as well. A channel that the caller gave is never replaced
and never closed. `sync_io.py` and `async_io.py` make the channels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import grpc
import grpc.aio

from durabletask.protocol import batch_stream
from durabletask.protocol.metadata_keys import MAX_MESSAGE_KEY
from durabletask.transport.channel_batches import channel_batches
from durabletask.transport.channel_options import message_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from durabletask.transport.address import Address
    from durabletask.transport.channel_batches import ChannelBatches
    from durabletask.transport.engine_detection import Engine
    from durabletask.transport.grpc_call import GrpcTransportBase

# Credentials hold the authorities to trust and the certificate to show; True means gRPC's own.
Secure: TypeAlias = bool | grpc.ChannelCredentials

C = TypeVar("C", bound="grpc.Channel | grpc.aio.Channel")

BATCH_VARIABLE = "DURABLETASK_BATCH_STREAM"
"""With "0" in this environment variable no batch stream is used."""


class BatchLimits(NamedTuple):
    """How many bytes the batches of a channel's batch stream may have."""

    sent: int
    received: int


def batch_limits(
    options: Sequence[tuple[str, Any]], environment: Mapping[str, str] = os.environ
) -> BatchLimits | None:
    """The limits that the options of a channel set; None where the environment forbids batches."""
    if environment.get(BATCH_VARIABLE, "").strip() == "0":
        return None
    return BatchLimits(message_limit(options, "send"), message_limit(options, "receive"))


@dataclass(slots=True)
class Connection(Generic[C]):
    """A channel, the callables that were made for it, and the engine at its other end.

    `engine` is None until it is detected. The call that detects it holds `detecting`, a lock
    of the kind that the channel's calls can wait for. Without `batch_limits` calls are made one
    by one.
    """

    channel: C
    detecting: Any
    batch_limits: BatchLimits | None = None
    callables: dict[tuple[str, bool], Any] = field(default_factory=dict)
    engine: Engine | None = None
    batches: ChannelBatches[Any] = field(default_factory=channel_batches)

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


class Opening(NamedTuple):
    """How a batch stream is opened: its metadata, and how many bytes a batch may have."""

    metadata: tuple[tuple[str, str | bytes], ...]
    batch_bytes: int


def opening_of(transport: GrpcTransportBase[Any], connection: Connection[Any]) -> Opening | None:
    """How to open a batch stream; None unless the engine offers one, and it may be used."""
    engine, limits = connection.engine, connection.batch_limits
    if limits is None or engine is None or not engine.batch_bytes:
        return None
    announced = (MAX_MESSAGE_KEY, str(limits.received))
    batch_bytes = min(engine.batch_bytes, limits.sent, batch_stream.FULL_BATCH)
    return Opening((*transport.metadata, announced), batch_bytes)


def may_batch(
    transport: GrpcTransportBase[Any], connection: Connection[Any], make_stream: Callable[..., Any]
) -> bool:
    """Whether the engine at the other end offers a batch stream, and this end may use it.

    `make_stream` is the class of the stream; it is given what opens it, and its `batch_bytes`.
    """
    batches = connection.batches
    if batches.make is None and (opening := opening_of(transport, connection)) is not None:
        rpc: Any = connection.channel.stream_stream(batch_stream.PATH)
        open_rpc = partial(rpc, metadata=opening.metadata)
        batches.make = partial(make_stream, open_rpc, opening.batch_bytes)
    return batches.make is not None


class ChannelSource(Protocol[C]):
    """Where a transport gets its channel, anew for each call."""

    @property
    def label(self) -> str:
        """The name of the other end in logs and errors."""

    def connection(self) -> Connection[C]:
        """The channel for a call that begins now."""

    def renew(self) -> None:
        """Let later calls use another channel; the old one ends with its last call."""

    def take(self) -> Connection[C] | None:
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

    def take(self) -> Connection[C] | None:
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
        batch_limits: BatchLimits | None = None,
    ) -> None:
        self.label = label
        self._batch_limits = batch_limits
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
            made = Connection(self._make(), self._make_lock(), self._batch_limits)
            # Atomic, unlike a lookup followed by an assignment.
            connection = kept.setdefault(owner, made)
            for other in list(kept):
                if other != owner:
                    kept.pop(other, None)
        return connection

    def renew(self) -> None:
        self._kept = {}

    def take(self) -> Connection[C] | None:
        self._closed = True
        kept, self._kept = self._kept, {}
        return kept.get(self._owner())


def credentials_for(secure: Secure, address: Address) -> grpc.ChannelCredentials | None:
    """The credentials for TLS; None for plain text."""
    if not address.secure:
        return None
    if isinstance(secure, grpc.ChannelCredentials):
        return secure
    return grpc.ssl_channel_credentials()
