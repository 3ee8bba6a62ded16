"""Messages to bytes and back, in any dialect.

    event = codec.decode(messages.HistoryEvent, raw)
    raw = codec.encode(event, dialects.DAPR)

One function for each message, dialect and direction is generated and compiled when it is first
needed, the way `dataclasses` makes its methods; a traceback shows its source. Fields that are
unknown are kept in the message and encoded again with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from durabletask.protocol.dialects import NATIVE, Dialect
from durabletask.protocol.wire import TRUNCATED, DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import betterproto2

    from durabletask.protocol.compiler import Functions

__all__ = ["DecodeError", "EncodeError", "decode", "decode_each", "decode_spans", "encode"]

M = TypeVar("M", bound="betterproto2.Message")

MAX_DEPTH = 100
"""How deeply messages may be nested: protobuf's own limit, against malicious input."""

_NO_BYTES = ((0, 0),)
UNREADABLE = (IndexError, DecodeError, UnicodeDecodeError)
"""What reading malformed bytes raises, until `decode_error` makes it a DecodeError."""

_functions: dict[Dialect, Functions] = {}


def decode(message_class: type[M], raw: bytes | memoryview, dialect: Dialect = NATIVE) -> M:
    """Read a message from all of `raw`, or raise DecodeError."""
    whole = bytes(raw)
    return decode_spans(message_class, whole, ((0, len(whole)),), dialect)


def decode_spans(
    message_class: type[M],
    raw: bytes,
    spans: Sequence[tuple[int, int]],
    dialect: Dialect = NATIVE,
) -> M:
    """Read a message from the parts `raw[start:stop]`, as if they stood one after the other.

    Each span holds whole fields. The bytes between them are ignored.
    """
    fill = _fill(message_class, dialect)
    message = object.__new__(message_class)
    fresh = True
    try:
        # Without spans the message is empty, but its lists have to exist.
        for start, stop in spans or _NO_BYTES:
            fill(message, raw, start, stop, MAX_DEPTH, fresh)
            fresh = False
    except UNREADABLE as error:
        raise decode_error(message_class, error) from error
    return message


def decode_each(
    message_class: type[M],
    raw: bytes,
    spans: Sequence[tuple[int, int]],
    dialect: Dialect = NATIVE,
) -> list[M]:
    """Read a message from each of the parts `raw[start:stop]`, or raise DecodeError."""
    fill = _fill(message_class, dialect)
    read = []
    try:
        for start, stop in spans:
            message = object.__new__(message_class)
            fill(message, raw, start, stop, MAX_DEPTH)
            read.append(message)
    except UNREADABLE as error:
        raise decode_error(message_class, error) from error
    return read


def encode(message: betterproto2.Message, dialect: Dialect = NATIVE) -> bytes:
    """Write a message; fields for which the dialect has no number are left out.

    Raises EncodeError when a field holds what its type cannot carry.
    """
    functions = _functions.get(dialect) or _compiled(dialect)
    message_class = type(message)
    write = functions.encoders.get(message_class) or functions.compile_encoder(message_class)
    try:
        return write(message)
    except (EncodeError, TypeError, AttributeError, UnicodeEncodeError, RecursionError) as error:
        raise EncodeError(f"{message_class.__name__}: {error}") from error


def _fill(message_class: type[Any], dialect: Dialect) -> Callable[..., None]:
    functions = _functions.get(dialect) or _compiled(dialect)
    return functions.fills.get(message_class) or functions.compile_fill(message_class)


def decode_error(message_class: type[Any], cause: Exception) -> DecodeError:
    """The error that says of which message the bytes were unreadable."""
    reason = TRUNCATED if isinstance(cause, IndexError) else cause
    return DecodeError(f"not a {message_class.__name__}: {reason}")


def _compiled(dialect: Dialect) -> Functions:
    # Late: a program that only imports a client has no message to read or write yet.
    from durabletask.protocol.compiler import Functions

    return _functions.setdefault(dialect, Functions(dialect))
