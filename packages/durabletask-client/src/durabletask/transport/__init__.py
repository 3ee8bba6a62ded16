"""How the SDK reaches a sidecar: the interface that client and worker are written against.

A transport carries one request of the protocol and brings back its response, or a stream of
them. gRPC is one implementation; a fake of some 40 lines in the tests is another. Every
transport raises the errors of `durabletask.transport.errors`.

`sync_transport.py` and `sync_calls.py` are generated from `async_transport.py` and
`async_calls.py`. gRPC is imported only when a gRPC transport is made.
"""

from __future__ import annotations

from durabletask.transport.async_transport import (
    AsyncByteStream,
    AsyncClientTransport,
    AsyncTransport,
    grpc_async_transport,
)
from durabletask.transport.limits import DEFAULT_PATIENCE, DEFAULT_TIMEOUT, ChannelHealth
from durabletask.transport.sync_transport import (
    ByteStream,
    ClientTransport,
    Transport,
    grpc_transport,
)

__all__ = [
    "DEFAULT_PATIENCE",
    "DEFAULT_TIMEOUT",
    "AsyncByteStream",
    "AsyncClientTransport",
    "AsyncTransport",
    "ByteStream",
    "ChannelHealth",
    "ClientTransport",
    "Metadata",
    "Transport",
    "grpc_async_transport",
    "grpc_transport",
]

Metadata = tuple[tuple[str, "str | bytes"], ...]
