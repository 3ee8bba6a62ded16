"""Generate the source of a function that fills one message from bytes.

The generated function, for a message X:

    def fill_X(message, raw, pos, end, depth, fresh=True):
        '''Fill `message` from raw[pos:end]; `fresh` when nothing is in it yet.'''

It reads one field after the other. Protobuf merges a message that occurs twice, which is why
the functions fill an instance instead of making one: to decode the concatenation of two
encodings is to fill the same instance twice.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, Any

from durabletask.protocol import json_values, timestamps, unknown_fields, wire
from durabletask.protocol.layouts import FieldKind
from durabletask.protocol.oneofs import which

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.layouts import Field, MessageLayout

# With at most this many tags, testing one after the other is faster than bisecting.
_LINEAR = 4

_HEAD = """\
def fill_{name}(message, raw, pos, end, depth, fresh=True):
    if not depth:
        raise DecodeError("it is nested too deep")
"""

_LOOP = """\
while pos < end:
    tag = raw[pos]
    pos += 1
    if tag > 127:
        tag, pos = rest_of_tag(raw, pos, tag)
"""

_TAIL = """\
    pos = keep_unknown(message, raw, tag, pos, end)
if pos != end:
    raise DecodeError(TRUNCATED)
"""

_SPAN = """\
size = raw[pos]
pos += 1
if size > 127:
    size, pos = rest_of_varint(raw, pos, size)
stop = pos + size
if stop > end:
    raise DecodeError(TRUNCATED)
"""


def source(layout: MessageLayout) -> str:
    """The source of `fill_<message>` for a layout."""
    lines = [_HEAD.format(name=layout.name)]
    lines += [
        f"    if fresh:\n        message.{field.name} = {'{}' if field.kind.is_map else '[]'}\n"
        for field in (*layout.fields, *layout.absent)
        if field.holds_many
    ]
    if layout.has_oneof:
        lines.append('    chosen = "" if fresh else which(message)\n')
    lines.append(indent(_LOOP, "    "))
    branches = sorted(branch for field in layout.fields for branch in _branches(field))
    if branches:
        lines.append(indent(_dispatch(branches), "        "))
    lines.append(indent(_TAIL, "    "))
    return "".join(lines)


def primitives(dialect: Dialect) -> dict[str, Any]:
    """The names that the functions use, whatever their message."""
    return {
        "DecodeError": wire.DecodeError,
        "TRUNCATED": wire.TRUNCATED,
        "new": object.__new__,
        "which": which,
        "keep_unknown": unknown_fields.keeper(dialect),
        "rest_of_tag": wire.rest_of_tag,
        "rest_of_int32": wire.rest_of_int32,
        "rest_of_uint32": wire.rest_of_uint32,
        "rest_of_varint": wire.rest_of_varint,
        "read_timestamp": timestamps.read_timestamp,
        "read_duration": timestamps.read_duration,
        "read_json": json_values.read,
        "string_value": wire.string_value,
        "number_value": wire.number_value,
        "map_entry": wire.map_entry,
    }


# The dispatch: a chain of tests for few tags, bisection for many.


def _dispatch(branches: list[tuple[int, str]]) -> str:
    if len(branches) <= _LINEAR:
        return "".join(f"if tag == {tag}:\n{indent(body, '    ')}" for tag, body in branches)
    half = len(branches) // 2
    low, high = _dispatch(branches[:half]), _dispatch(branches[half:])
    return f"if tag < {branches[half][0]}:\n{indent(low, '    ')}else:\n{indent(high, '    ')}"


def _branches(field: Field) -> list[tuple[int, str]]:
    """The tags that a field may come with, and what to do at each."""
    tag = field.number << 3
    if not field.kind.is_varint:
        body = _SPAN + _CONTENT[field.kind](field) + "pos = stop\ncontinue\n"
        return [(tag | wire.LENGTH_DELIMITED, body)]
    read = _VARINT[field.kind].format(type=field.type_name)
    if not field.repeated:
        return [(tag | wire.VARINT, read + _stored(field, "value") + "continue\n")]
    one = read + f"message.{field.name}.append(value)\n"
    many = _SPAN + f"while pos < stop:\n{indent(one, '    ')}"
    many += "if pos != stop:\n    raise DecodeError(TRUNCATED)\n"
    return [
        (tag | wire.VARINT, one + "continue\n"),
        (tag | wire.LENGTH_DELIMITED, many + "continue\n"),
    ]


# Numbers: read into `value`.

_VARINT = {
    FieldKind.INT32: """\
value = raw[pos]
pos += 1
if value > 127:
    value, pos = rest_of_int32(raw, pos, value)
""",
    FieldKind.UINT32: """\
value = raw[pos]
pos += 1
if value > 127:
    value, pos = rest_of_uint32(raw, pos, value)
""",
    FieldKind.BOOL: """\
value = raw[pos]
pos += 1
if value > 127:
    value, pos = rest_of_varint(raw, pos, value)
value = value != 0
""",
    FieldKind.ENUM: """\
value = raw[pos]
pos += 1
if value > 127:
    value, pos = rest_of_int32(raw, pos, value)
value = read_{type}(value)
""",
}


# Content between `pos` and `stop`: read it and store it.


def _string(field: Field) -> str:
    return _stored(field, "raw[pos:stop].decode()")


def _bytes(field: Field) -> str:
    return _stored(field, "raw[pos:stop]")


def _string_value(field: Field) -> str:
    before = '""' if field.repeated else f'message.{field.name} or ""'
    # The usual wrapper, a short string and nothing else, is read in place.
    return (
        "if 1 < size < 130 and raw[pos] == 10 and raw[pos + 1] == size - 2:\n"
        "    value = raw[pos + 2:stop].decode()\n"
        "else:\n"
        f"    value = string_value(raw, pos, stop, {before})\n"
    ) + _stored(field, "value")


def _number_value(field: Field) -> str:
    number = f"number_value(raw, pos, stop, message.{field.name} or 0)"
    return _stored(field, f"{number} != 0" if field.kind is FieldKind.BOOL_VALUE else number)


def _timestamp(field: Field) -> str:
    return _stored(field, f"read_timestamp(raw, pos, stop, message.{field.name})")


def _duration(field: Field) -> str:
    return _stored(field, f"read_duration(raw, pos, stop, message.{field.name})")


def _string_map(field: Field) -> str:
    return (
        "key, start, last = map_entry(raw, pos, stop)\n"
        f"message.{field.name}[key] = raw[start:last].decode()\n"
    )


def _json_map(field: Field) -> str:
    return (
        "key, start, last = map_entry(raw, pos, stop)\n"
        f"message.{field.name}[key] = read_json(raw, start, last)\n"
    )


def _message(field: Field) -> str:
    name = field.type_name
    if field.repeated:
        return (
            f"nested = new({name})\n"
            f"fill_{name}(nested, raw, pos, stop, depth - 1)\n"
            f"message.{field.name}.append(nested)\n"
        )
    return (
        f"nested = message.{field.name}\n"
        "first = nested is None\n"
        "if first:\n"
        f"    nested = new({name})\n"
        f"{indent(_stored(field, 'nested'), '    ')}"
        f"fill_{name}(nested, raw, pos, stop, depth - 1, first)\n"
    )


_CONTENT: dict[FieldKind, Callable[[Field], str]] = {
    FieldKind.STRING: _string,
    FieldKind.BYTES: _bytes,
    FieldKind.STRING_VALUE: _string_value,
    FieldKind.BOOL_VALUE: _number_value,
    FieldKind.INT32_VALUE: _number_value,
    FieldKind.TIMESTAMP: _timestamp,
    FieldKind.DURATION: _duration,
    FieldKind.STRING_MAP: _string_map,
    FieldKind.JSON_MAP: _json_map,
    FieldKind.MESSAGE: _message,
}


def _stored(field: Field, value: str) -> str:
    if field.repeated:
        return f"message.{field.name}.append({value})\n"
    stored = f"message.{field.name} = {value}\n"
    if not field.in_oneof:
        return stored
    # Of the members of a oneof the last one on the wire wins.
    return stored + (
        f'if chosen and chosen != "{field.name}":\n'
        "    setattr(message, chosen, None)\n"
        f'chosen = "{field.name}"\n'
    )
