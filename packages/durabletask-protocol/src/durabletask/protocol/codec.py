"""Messages to bytes and back, in any dialect.

    event = codec.decode(messages.HistoryEvent, raw)
    raw = codec.encode(event, dialects.DAPR)

A function a message, dialect and direction is written, compiled and kept when it is first
needed, the way `dataclasses` makes its methods; a traceback shows its source. What a peer
sends that we do not know is kept in the message and goes out again with it.

Knows that there are such functions, not how they are made: that is `compiler`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from durabletask.protocol.dialects import NATIVE, Dialect
from durabletask.protocol.wire import TRUNCATED, DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import betterproto2

    from durabletask.protocol.compiler import Functions

__all__ = ["DecodeError", "EncodeError", "decode", "decode_spans", "encode"]

M = TypeVar("M", bound="betterproto2.Message")

MAX_DEPTH = 100
"""Messages inside messages that are read before it counts as an attack; protobuf's limit."""

_NO_BYTES = ((0, 0),)
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

    Each span holds whole fields. What lies between them is not looked at.
    """
    functions = _functions.get(dialect) or _compiled(dialect)
    fill = functions.fills.get(message_class) or functions.compile_fill(message_class)
    message = object.__new__(message_class)
    fresh = True
    try:
        # With no spans at all the message is empty, but its lists have to be there.
        for start, stop in spans or _NO_BYTES:
            fill(message, raw, start, stop, MAX_DEPTH, fresh)
            fresh = False
    except IndexError as error:
        raise DecodeError(f"not a {message_class.__name__}: {TRUNCATED}") from error
    except (DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"not a {message_class.__name__}: {error}") from error
    return message


def encode(message: betterproto2.Message, dialect: Dialect = NATIVE) -> bytes:
    """Write a message; what the dialect has no number for is left out.

    Raises EncodeError when a field holds what its type cannot carry.
    """
    functions = _functions.get(dialect) or _compiled(dialect)
    message_class = type(message)
    write = functions.encoders.get(message_class) or functions.compile_encoder(message_class)
    try:
        return write(message)
    except (EncodeError, TypeError, AttributeError, UnicodeEncodeError, RecursionError) as error:
        raise EncodeError(f"{message_class.__name__}: {error}") from error


def _compiled(dialect: Dialect) -> Functions:
    # Late: who only imports a client has no message to read or write yet.
    from durabletask.protocol.compiler import Functions

    return _functions.setdefault(dialect, Functions(dialect))
