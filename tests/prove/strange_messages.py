"""Messages that fit the contract and make no sense, and bytes that nearly fit it.

The seed decides everything. Ids and names come from a few that exist and some that must not, so
that many requests meet something that exists.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, layouts, oneofs, wire
from durabletask.protocol.layouts import FieldKind

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from durabletask.protocol.dialects import Dialect

IDS = ("a", "b", "c", "d")
ENTITIES = ("@counter@a", "@counter@b")
NAMES = ("order", "greet", "counter", "add")
_HOSTILE = (
    *("", "\0", "a\0b", "\n", "é", "\U0001f600", "@", "@@", "@counter@", "@ @ ", "0", "null"),
    *("%s%n", "../../etc", "'; DROP TABLE instances; --", "\u202e", "\ufffe", "x" * 300),
    *("a" * 5_000, "-1", "1e999", "__proto__", " a ", "A", "{}", "[" * 500, '"\\ud800"'),
)
_NUMBERS = (0, 1, 2, 3, -1, -2, 127, 128, 2**31 - 1, -(2**31), 99, 1000)
_TIMES = (
    datetime.min,
    datetime.max,
    datetime(1969, 12, 31, 23, 59, 59, 999_999),
    datetime(1970, 1, 1),
    datetime(2000, 1, 1),
    datetime(2500, 1, 1),
)
_SPANS = (timedelta.min, timedelta.max, timedelta(0), timedelta(microseconds=-1), timedelta(9))
_JSON = ("null", "0", '""', "[]", "{}", "[" * 40 + "]" * 40, '{"": {"a": [1e308]}}')
_MOST_NESTED = 4


class StrangeMessages:
    """Draws messages, all of them different."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def make(self, message_class: type[Any], dialect: Dialect, depth: int = _MOST_NESTED) -> Any:
        """A message of what the dialect can say."""
        layout = layouts.layout(message_class, dialect)
        chance = self._rng.choice([0.2, 0.6, 0.95])
        members = oneofs.members_of(message_class)
        message = message_class()
        for field in layout.fields:
            if field.name not in members and self._rng.random() < chance:
                setattr(message, field.name, self._value(layout.name, field, dialect, depth))
        chosen = [field for field in layout.fields if field.name in members]
        if chosen and self._rng.random() < 0.95:
            field = self._rng.choice(chosen)
            setattr(message, field.name, self._value(layout.name, field, dialect, depth))
        return message

    def _value(self, message: str, field: layouts.Field, dialect: Dialect, depth: int) -> Any:
        if field.kind.is_map:
            value = self._json if field.kind is FieldKind.JSON_MAP else self._text
            return {self._text(): value() for _ in range(self._size())}
        if field.repeated:
            return [self._one(message, field, dialect, depth) for _ in range(self._size())]
        return self._one(message, field, dialect, depth)

    def _one(self, message: str, field: layouts.Field, dialect: Dialect, depth: int) -> Any:
        if field.kind is FieldKind.MESSAGE:
            assert field.type is not None
            return self.make(field.type, dialect, depth - 1) if depth else field.type()
        if field.kind is FieldKind.ENUM:
            assert field.type is not None
            known = [each for each in field.type if dialect.enum_value(field.type_name, each)]
            return self._rng.choice([*known, field.type(0), field.type(77)])
        if field.kind in (FieldKind.STRING, FieldKind.STRING_VALUE) and self._rng.random() < 0.9:
            fitting = self._fitting(field.name, message)
            if fitting:
                return self._rng.choice(fitting)
        return self._plain(field.kind)

    @staticmethod
    def _fitting(field: str, message: str) -> tuple[str, ...]:
        """What there may well be of that name."""
        if field == "name":
            return NAMES
        if not field.lower().endswith(("id", "ids")):
            return ()
        return ENTITIES if "ntity" in message + field else IDS

    def _plain(self, kind: FieldKind) -> Any:
        draw: dict[FieldKind, Callable[[], Any]] = {
            FieldKind.STRING: self._text,
            FieldKind.STRING_VALUE: self._text,
            FieldKind.BYTES: lambda: self._rng.randbytes(self._size()),
            FieldKind.BOOL: lambda: self._rng.random() < 0.5,
            FieldKind.BOOL_VALUE: lambda: self._rng.random() < 0.5,
            FieldKind.INT32: lambda: self._rng.choice(_NUMBERS),
            FieldKind.INT32_VALUE: lambda: self._rng.choice(_NUMBERS),
            FieldKind.UINT32: lambda: self._rng.choice((0, 1, 5, 2**31, 2**32 - 1)),
            FieldKind.TIMESTAMP: self._time,
            FieldKind.DURATION: lambda: self._rng.choice(_SPANS),
        }
        return draw[kind]()

    def _size(self) -> int:
        return self._rng.choice((0, 1, 1, 2, 3)) if self._rng.random() < 0.99 else 200

    def _text(self) -> str:
        return self._rng.choice((*IDS, *ENTITIES, *NAMES, *_HOSTILE))

    def _json(self) -> str:
        return self._rng.choice(_JSON)

    def _time(self) -> datetime:
        return self._rng.choice(_TIMES).replace(tzinfo=UTC)


def spoiled(rng: random.Random, raw: bytes) -> bytes:
    """The bytes with something done to them; seldom a message still."""
    spoil = rng.choice((_flip, _cut, _insert, _double, _replace, _append, _surround))
    return spoil(rng, raw)


def _flip(rng: random.Random, raw: bytes) -> bytes:
    spoiled = bytearray(raw or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _insert(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.randbytes(rng.choice((1, 2, 9))) + raw[at:]


def _double(_rng: random.Random, raw: bytes) -> bytes:
    """Protobuf merges a message that occurs twice."""
    return raw + raw


def _replace(rng: random.Random, _raw: bytes) -> bytes:
    return rng.randbytes(int(math.exp(rng.uniform(0, 7))))


def _append(rng: random.Random, raw: bytes) -> bytes:
    """A text that is no UTF-8, a group, a number of eleven bytes, a length beyond the end."""
    field = wire.varint(rng.randrange(1, 20) << 3 | rng.choice((0, 1, 2, 3, 4, 5, 6, 7)))
    tail = rng.choice((b"\x03\xed\xa0\x80", b"\xff" * 11, b"\xff\xff\xff\xff\x7f", b"\x01"))
    return raw + field + tail


def _surround(rng: random.Random, raw: bytes) -> bytes:
    """Put it into itself a hundred times and more: deeper than any reader should go."""
    number = rng.randrange(1, 12)
    for _ in range(rng.choice((2, 90, 120))):
        raw = wire.length_delimited(number, raw)
    return raw


def encoded(rng: random.Random, message_class: type[Any], dialect: Dialect) -> bytes:
    """A request of this kind: strange, and now and then spoiled too."""
    raw = codec.encode(StrangeMessages(rng).make(message_class, dialect), dialect)
    return raw if rng.random() < 0.7 else spoiled(rng, raw)
