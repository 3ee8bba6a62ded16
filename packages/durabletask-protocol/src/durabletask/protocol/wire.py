"""The primitives of protobuf's wire format.

Readers take the whole buffer, a position in it and, where it matters, the end of the message;
they return what they read and the position after it. A reader may run past the end of the
buffer (IndexError) or of its message: the caller compares positions once, at the end, instead
of at every byte. Most numbers are one byte, which the caller reads in place; `rest_of_…` takes
over if that byte says that more follow.
"""

from __future__ import annotations

VARINT = 0
FIXED64 = 1
LENGTH_DELIMITED = 2
FIXED32 = 5

TRUNCATED = "it ends in the middle of a field"

BYTE = tuple(bytes([value]) for value in range(128))
"""The varints of one byte: most lengths, ids and flags."""

_MINUS_ONE_REST = b"\xff" * 8 + b"\x01"
_MINUS_ONE = b"\xff" + _MINUS_ONE_REST
LARGEST_NUMBER = (1 << 29) - 1
"""The largest number that a field can have."""


class DecodeError(ValueError):
    """The bytes are not a message of the expected type."""


class EncodeError(ValueError):
    """A field holds a value that its type on the wire cannot carry."""


def rest_of_varint(raw: bytes, pos: int, value: int) -> tuple[int, int]:
    """Read on after `value`, the first byte; at most 64 bits in at most ten bytes."""
    value &= 0x7F
    shift = 7
    while shift < 70:
        byte = raw[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, pos
        shift += 7
    raise DecodeError("a number has more than ten bytes")


def rest_of_int32(raw: bytes, pos: int, value: int) -> tuple[int, int]:
    # Every second event has the id -1, which takes ten bytes.
    if value == 0xFF and raw.startswith(_MINUS_ONE_REST, pos):
        return -1, pos + 9
    value, pos = rest_of_varint(raw, pos, value)
    return (value & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000, pos


def rest_of_uint32(raw: bytes, pos: int, value: int) -> tuple[int, int]:
    value, pos = rest_of_varint(raw, pos, value)
    return value & 0xFFFF_FFFF, pos


def rest_of_tag(raw: bytes, pos: int, value: int) -> tuple[int, int]:
    tag, after = rest_of_varint(raw, pos, value)
    if tag >> 3 > LARGEST_NUMBER or after - pos > 4:
        raise DecodeError("a field number is too large")
    return tag, after


def varint_at(raw: bytes, pos: int) -> tuple[int, int]:
    value = raw[pos]
    if value < 0x80:
        return value, pos + 1
    return rest_of_varint(raw, pos + 1, value)


def tag_at(raw: bytes, pos: int) -> tuple[int, int]:
    value = raw[pos]
    if value < 0x80:
        return value, pos + 1
    return rest_of_tag(raw, pos + 1, value)


def span_at(raw: bytes, pos: int, end: int) -> tuple[int, int]:
    """Where the content of the length-delimited field at `pos` starts and stops."""
    size = raw[pos]
    pos += 1
    if size > 0x7F:
        size, pos = rest_of_varint(raw, pos, size)
    stop = pos + size
    if stop > end:
        raise DecodeError(TRUNCATED)
    return pos, stop


def skip(raw: bytes, tag: int, pos: int, end: int) -> int:
    """The position after the content of a field that is not read."""
    if tag < 8:
        raise DecodeError("a field has the number 0")
    wire_type = tag & 7
    if wire_type == LENGTH_DELIMITED:
        return span_at(raw, pos, end)[1]
    if wire_type == VARINT:
        pos = varint_at(raw, pos)[1]
    elif wire_type == FIXED64:
        pos += 8
    elif wire_type == FIXED32:
        pos += 4
    else:
        raise DecodeError("a field is a group, which the protocol does not use")
    if pos > end:
        raise DecodeError(TRUNCATED)
    return pos


def map_entry(raw: bytes, pos: int, end: int) -> tuple[str, int, int]:
    """The key of a map's entry, and where its value starts and stops.

    The value's content is length-delimited; a missing value is an empty span. Other fields of
    an entry are dropped, as every implementation does.
    """
    if end - pos > 3 and raw[pos] == 0x0A and raw[pos + 1] < 0x80:
        value = pos + 2 + raw[pos + 1]
        size = end - value - 2
        # The usual entry: a key and a value, both short, and nothing else.
        if 0 <= size < 0x80 and raw[value] == 0x12 and raw[value + 1] == size:
            return raw[pos + 2 : value].decode(), value + 2, end
    key, start, stop = "", pos, pos
    while pos < end:
        tag, pos = tag_at(raw, pos)
        content, pos = pos, skip(raw, tag, pos, end)
        if tag == 0x0A:
            first, last = span_at(raw, content, pos)
            key = raw[first:last].decode()
        elif tag == 0x12:
            start, stop = span_at(raw, content, pos)
    return key, start, stop


def string_value(raw: bytes, pos: int, stop: int, value: str) -> str:
    """The string in a StringValue; `value` if it holds none."""
    size = stop - pos - 2
    # The usual wrapper: a short string, and nothing else.
    if 0 <= size < 0x80 and raw[pos] == 0x0A and raw[pos + 1] == size:
        return raw[pos + 2 : stop].decode()
    while pos < stop:
        tag, pos = tag_at(raw, pos)
        start, pos = pos, skip(raw, tag, pos, stop)
        if tag == 0x0A:
            start, end = span_at(raw, start, pos)
            value = raw[start:end].decode()
    return value


def number_value(raw: bytes, pos: int, stop: int, value: int) -> int:
    """The number in an Int32Value or a BoolValue, as an int32; `value` if it holds none."""
    while pos < stop:
        tag, pos = tag_at(raw, pos)
        start, pos = pos, skip(raw, tag, pos, stop)
        if tag == 0x08:
            value = raw[start]
            if value > 0x7F:
                value = rest_of_int32(raw, start + 1, value)[0]
    return value


def varint(value: int) -> bytes:
    """Encode a number from 0 up."""
    if value < 0x80:
        return BYTE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int32(value: int) -> bytes:
    """Encode a signed number of 32 bits; a negative one takes ten bytes."""
    if 0 <= value < 0x80:
        return BYTE[value]
    if value == -1:
        return _MINUS_ONE
    if not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        raise EncodeError(f"{value} does not fit into 32 bits")
    return varint(value if value >= 0 else value + (1 << 64))


def uint32(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF_FFFF:
        raise EncodeError(f"{value} does not fit into 32 bits without sign")
    return varint(value)


def prefixed(blob: bytes) -> bytes:
    """Put the length of `blob` before it."""
    size = len(blob)
    return (BYTE[size] if size < 0x80 else varint(size)) + blob


def length_delimited(field_number: int, blob: bytes) -> bytes:
    """One field whose content is already encoded: tag, length, content.

    Fields may come in any order and repeated ones in pieces, so a stored event becomes part
    of a message by appending this to the message's other bytes.
    """
    tag = field_number << 3 | LENGTH_DELIMITED
    return (BYTE[tag] if tag < 0x80 else varint(tag)) + prefixed(blob)
