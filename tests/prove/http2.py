"""Frames of HTTP/2, as many as a gRPC call needs, for tests that then send them wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durabletask.protocol.methods import Method

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def hello() -> bytes:
    """What a client says first."""
    return PREFACE + _frame(_SETTINGS, 0, 0, b"")


def call(
    method: Method, request: bytes, stream: int = 1, metadata: Mapping[str, str] | None = None
) -> bytes:
    """A whole call of a method."""
    message = b"\0" + len(request).to_bytes(4, "big") + request
    return _headers(method, stream, metadata or {}) + _frame(_DATA, _END_STREAM, stream, message)


def lying_call(method: Method, promised: int, stream: int = 1) -> bytes:
    """A call whose request is shorter than it says."""
    message = b"\0" + promised.to_bytes(4, "big") + b"\x0a"
    return _headers(method, stream, {}) + _frame(_DATA, _END_STREAM, stream, message)


def lying_frame(promised: int) -> bytes:
    """The head of a frame that is longer than it says, or never comes."""
    return promised.to_bytes(3, "big") + bytes((_DATA, 0)) + (1).to_bytes(4, "big") + b"\0" * 9


def _headers(method: Method, stream: int, metadata: Mapping[str, str]) -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method.path,
        ":authority": "somebody",
        "te": "trailers",
        "content-type": "application/grpc",
        **metadata,
    }
    block = b"".join(
        b"\0" + _text(name) + _text(value) for name, value in headers.items()
    )  # HPACK's plainest form: literal, not indexed
    return _frame(_HEADERS, _END_HEADERS, stream, block)


def _text(text: str) -> bytes:
    raw = text.encode(errors="surrogateescape")
    return bytes((len(raw),)) + raw


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return (
        len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content
    )
