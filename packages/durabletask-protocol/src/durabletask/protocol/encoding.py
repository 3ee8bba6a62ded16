"""Generate the source of a function that encodes one message.

The generated function, for a message X:

    def encode_X(message):
        '''The bytes of `message`, without a length before them.'''

Fields are written in the order of their numbers, those that have their default are left out,
and unknown fields come last, as they were received.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, Any

from durabletask.protocol import json_values, timestamps, unknown_fields, wire
from durabletask.protocol.dialects import DaprNumbers
from durabletask.protocol.layouts import FieldKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.layouts import Field, MessageLayout

_HEAD = """\
def encode_{name}(message):
    parts = []
"""

_TAIL = """\
    if message._unknown_fields:
        parts.append(write_unknown(message._unknown_fields))
    return b"".join(parts)
"""


def source(layout: MessageLayout) -> str:
    """The source of `encode_<message>` for a layout."""
    lines = [_HEAD.format(name=layout.name)]
    lines += [indent(_field(field), "    ") for field in layout.fields if not field.in_oneof]
    lines.append(indent(_oneof([field for field in layout.fields if field.in_oneof]), "    "))
    lines.append(_TAIL)
    return "".join(lines)


def primitives(dialect: Dialect) -> dict[str, Any]:
    """The names that the functions use, whatever their message."""
    return {
        "BYTE": wire.BYTE,
        "varint": wire.varint,
        "int32": wire.int32,
        "uint32": wire.uint32,
        "prefixed": wire.prefixed,
        "write_timestamp": _timestamp_writer(dialect),
        "write_duration": timestamps.write_duration,
        "write_json": json_values.write,
        "write_string_value": _write_string_value,
        "write_number_value": _write_number_value,
        "write_entry": _write_entry,
        "write_unknown": unknown_fields.writer(dialect),
    }


def _timestamp_writer(dialect: Dialect) -> Callable[[datetime], bytes]:
    if dialect.dapr_numbers is DaprNumbers.SHIFTED:
        return timestamps.write_dapr_timestamp
    return timestamps.write_timestamp


def _field(field: Field) -> str:
    if field.kind.is_map:
        return _map(field)
    if field.repeated:
        return _packed(field) if field.kind.is_varint else _repeated(field)
    given = "value is not None" if field.optional else "value"
    return f"value = message.{field.name}\nif {given}:\n{indent(_one(field), '    ')}"


def _oneof(members: list[Field]) -> str:
    return "".join(
        f"{'elif' if position else 'if'} (value := message.{field.name}) is not None:\n"
        f"{indent(_one(field), '    ')}"
        for position, field in enumerate(members)
    )


def _repeated(field: Field) -> str:
    return f"for value in message.{field.name}:\n{indent(_one(field), '    ')}"


def _packed(field: Field) -> str:
    write = _NUMBER[field.kind].format(type=field.type_name)
    return (
        f"if message.{field.name}:\n"
        f"    data = b''.join([{write} for value in message.{field.name}])\n"
        "    if data:\n"
        f"        parts.append({_tag(field, wire.LENGTH_DELIMITED)} + prefixed(data))\n"
    )


def _map(field: Field) -> str:
    value = "write_json(value)" if field.kind is FieldKind.JSON_MAP else "value.encode()"
    return (
        f"for key, value in message.{field.name}.items():\n"
        f"    parts.append({_tag(field, wire.LENGTH_DELIMITED)} + write_entry(key, {value}))\n"
    )


def _one(field: Field) -> str:
    """Append the tag and the content of `value`."""
    if not field.kind.is_varint:
        tag = _tag(field, wire.LENGTH_DELIMITED)
        return _CONTENT[field.kind].format(tag=tag, type=field.type_name)
    tag = _tag(field, wire.VARINT)
    if field.kind is FieldKind.ENUM:
        return f"data = write_{field.type_name}(value)\nif data:\n    parts.append({tag} + data)\n"
    return f"parts.append({tag} + {_NUMBER[field.kind]})\n"


def _tag(field: Field, wire_type: int) -> str:
    return repr(wire.varint(field.number << 3 | wire_type))


_NUMBER = {
    FieldKind.INT32: "(BYTE[value] if 0 <= value < 128 else int32(value))",
    FieldKind.UINT32: "(BYTE[value] if 0 <= value < 128 else uint32(value))",
    FieldKind.BOOL: "(BYTE[1] if value else BYTE[0])",
    FieldKind.ENUM: "write_{type}(value)",
}

_SIZED = """\
size = len(data)
parts.append({tag} + (BYTE[size] if size < 128 else varint(size)) + data)
"""

_CONTENT = {
    FieldKind.STRING: "data = value.encode()\n" + _SIZED,
    FieldKind.BYTES: "data = value\n" + _SIZED,
    FieldKind.MESSAGE: "data = encode_{type}(value)\n" + _SIZED,
    FieldKind.STRING_VALUE: "parts.append({tag} + write_string_value(value))\n",
    FieldKind.BOOL_VALUE: "parts.append({tag} + write_number_value(1 if value else 0))\n",
    FieldKind.INT32_VALUE: "parts.append({tag} + write_number_value(value))\n",
    FieldKind.TIMESTAMP: "parts.append({tag} + write_timestamp(value))\n",
    FieldKind.DURATION: "parts.append({tag} + write_duration(value))\n",
}


def _write_string_value(value: str) -> bytes:
    data = value.encode()
    size = len(data)
    if 0 < size < 126:
        return wire.BYTE[size + 2] + b"\n" + wire.BYTE[size] + data
    return wire.prefixed(b"\n" + wire.prefixed(data)) if data else b"\0"


def _write_number_value(value: int) -> bytes:
    return wire.prefixed(b"\x08" + wire.int32(value)) if value else b"\0"


def _write_entry(key: str, value: bytes) -> bytes:
    return wire.prefixed(b"\n" + wire.prefixed(key.encode()) + b"\x12" + wire.prefixed(value))
