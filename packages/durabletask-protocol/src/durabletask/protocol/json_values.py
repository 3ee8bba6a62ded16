"""`google.protobuf.Value` as JSON text.

On the wire a Value is a message that holds any JSON; in our messages it is JSON text, which can
be stored, compared and shown without knowing protobuf.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from durabletask.protocol import wire

_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST = 0x08, 0x11, 0x1A, 0x20, 0x2A, 0x32
# Each list or struct nests its values two messages deeper; implementations stop at 100.
_MAX_DEPTH = 50
_TOO_DEEP = "a JSON value is nested too deep"

# `json.dumps` with an argument makes a new encoder for each call.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_decode = json.JSONDecoder().decode
_unpack_double = struct.Struct("<d").unpack_from


def read(raw: bytes, pos: int, stop: int) -> str:
    """The Value in `raw[pos:stop]` as JSON text."""
    return _encode(value(raw, pos, stop))


def value(raw: bytes, pos: int, stop: int) -> Any:
    """The Value in `raw[pos:stop]` as the plain value that it is."""
    size = stop - pos
    # The usual values, a number or a truth value and nothing else, are read in place.
    if size == 9 and raw[pos] == _NUMBER:
        return _number(_unpack_double(raw, pos + 1)[0])
    if size == 2 and raw[pos] == _BOOL and raw[pos + 1] < 2:
        return raw[pos + 1] == 1
    return _read_value(raw, pos, stop, _MAX_DEPTH)


def write(text: str) -> bytes:
    """The JSON text as an encoded Value, without its length."""
    try:
        return _write_value(_decode(text))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise wire.EncodeError(f"{text!r:.80} does not fit a JSON value: {error}") from error


def _read_value(raw: bytes, pos: int, stop: int, depth: int) -> Any:
    if not depth:
        raise wire.DecodeError(_TOO_DEEP)
    value: Any = None
    while pos < stop:
        tag, pos = wire.tag_at(raw, pos)
        start, pos = pos, wire.skip(raw, tag, pos, stop)
        if tag == _NULL:
            value = None
        elif tag == _NUMBER:
            value = _number(_unpack_double(raw, start)[0])
        elif tag == _STRING:
            start, end = wire.span_at(raw, start, pos)
            value = raw[start:end].decode()
        elif tag == _BOOL:
            value = wire.varint_at(raw, start)[0] != 0
        elif tag == _STRUCT:
            start, end = wire.span_at(raw, start, pos)
            value = value if isinstance(value, dict) else {}
            _read_struct(value, raw, start, end, depth)
        elif tag == _LIST:
            start, end = wire.span_at(raw, start, pos)
            value = value if isinstance(value, list) else []
            _read_list(value, raw, start, end, depth)
    return value


def _read_struct(members: dict[str, Any], raw: bytes, pos: int, stop: int, depth: int) -> None:
    while pos < stop:
        tag, pos = wire.tag_at(raw, pos)
        start, pos = pos, wire.skip(raw, tag, pos, stop)
        if tag == 0x0A:
            start, end = wire.span_at(raw, start, pos)
            key, value_start, value_stop = wire.map_entry(raw, start, end)
            members[key] = _read_value(raw, value_start, value_stop, depth - 1)


def _read_list(items: list[Any], raw: bytes, pos: int, stop: int, depth: int) -> None:
    while pos < stop:
        tag, pos = wire.tag_at(raw, pos)
        start, pos = pos, wire.skip(raw, tag, pos, stop)
        if tag == 0x0A:
            start, end = wire.span_at(raw, start, pos)
            items.append(_read_value(raw, start, end, depth - 1))


def _number(value: float) -> float | int:
    # JSON has one kind of number: 3.0 and 3 are the same, and are written as 3.
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _write_value(value: Any) -> bytes:
    if value is None:
        return b"\x08\x00"
    if isinstance(value, bool):
        return b"\x20\x01" if value else b"\x20\x00"
    if isinstance(value, (int, float)):
        return b"\x11" + struct.pack("<d", float(value))
    if isinstance(value, str):
        return b"\x1a" + wire.prefixed(value.encode())
    if isinstance(value, dict):
        return b"\x2a" + wire.prefixed(b"".join(map(_write_member, value.items())))
    return b"\x32" + wire.prefixed(
        b"".join(wire.length_delimited(1, _write_value(item)) for item in value)
    )


def _write_member(member: tuple[str, Any]) -> bytes:
    key, value = member
    return wire.length_delimited(
        1, wire.length_delimited(1, key.encode()) + wire.length_delimited(2, _write_value(value))
    )
