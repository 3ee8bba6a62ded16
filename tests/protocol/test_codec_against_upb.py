"""Our bytes are protobuf's bytes, for every message of both vendors.

The oracle is protobuf's own implementation over messages built from the vendors' contracts.
Every case is drawn from a seed that its name gives, so that a failure repeats.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.message import DecodeError as VendorDecodeError

from durabletask.protocol import codec, wire
from durabletask.protocol.dialects import DAPR
from tests.builders.protocol import RandomMessages, vendor_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.builders.protocol import Vendor

CASES = [
    pytest.param(vendor, message, id=f"{vendor.name}-{message}")
    for vendor, message in vendor_messages()
]
each_message = pytest.mark.parametrize(("vendor", "message"), CASES)


def drawn(vendor: Vendor, message: str, purpose: str, count: int) -> Iterator[Any]:
    rng = random.Random(f"{vendor.name} {message} {purpose}")
    make = RandomMessages(rng, vendor.dialect).make
    for _ in range(count):
        yield make(vendor.our_class(message))


@each_message
def test_we_read_what_the_vendor_writes(vendor: Vendor, message: str) -> None:
    for ours in drawn(vendor, message, "read", 15):
        raw = vendor.of(ours).SerializeToString()

        assert codec.decode(type(ours), raw, vendor.dialect) == ours


@each_message
def test_the_vendor_reads_what_we_write(vendor: Vendor, message: str) -> None:
    for ours in drawn(vendor, message, "write", 15):
        raw = codec.encode(ours, vendor.dialect)

        assert vendor.parse(message, raw) == vendor.of(ours)


@each_message
def test_two_encodings_in_a_row_are_one_merged_message(vendor: Vendor, message: str) -> None:
    pairs = zip(*[drawn(vendor, message, "merge", 20)] * 2, strict=True)
    for first, second in pairs:
        raw = codec.encode(first, vendor.dialect) + codec.encode(second, vendor.dialect)

        assert outcome(vendor, message, raw) == vendor_outcome(vendor, message, raw)


@each_message
def test_fields_may_come_in_any_order(vendor: Vendor, message: str) -> None:
    rng = random.Random(f"{vendor.name} {message} order")
    for ours in drawn(vendor, message, "order", 10):
        fields = list(split(codec.encode(ours, vendor.dialect)))
        rng.shuffle(fields)
        raw = b"".join(fields)

        read = codec.decode(type(ours), raw, vendor.dialect)

        assert rewritten(vendor, message, read) == vendor.parse(message, raw)


@each_message
def test_of_damaged_bytes_we_make_what_the_vendor_makes(vendor: Vendor, message: str) -> None:
    """Nothing but DecodeError is raised, and only where the vendor refuses the bytes too."""
    rng = random.Random(f"{vendor.name} {message} damage")
    for ours in drawn(vendor, message, "damage", 10):
        intact = codec.encode(ours, vendor.dialect)
        for _ in range(10):
            raw = damaged(rng, intact)

            assert outcome(vendor, message, raw) == vendor_outcome(vendor, message, raw)


@each_message
def test_every_truncation_is_refused_or_read_as_the_vendor_does(
    vendor: Vendor, message: str
) -> None:
    (ours,) = drawn(vendor, message, "truncation", 1)
    raw = codec.encode(ours, vendor.dialect)[:400]

    for size in range(len(raw)):
        cut = raw[:size]
        assert outcome(vendor, message, cut) == vendor_outcome(vendor, message, cut)


def outcome(vendor: Vendor, message: str, raw: bytes) -> Any:
    """What the vendor reads in what we write after reading `raw`; None if we refuse it."""
    try:
        read = codec.decode(vendor.our_class(message), raw, vendor.dialect)
    except codec.DecodeError:
        return None
    return rewritten(vendor, message, read)


def vendor_outcome(vendor: Vendor, message: str, raw: bytes) -> Any:
    """The same for the vendor, in as far as Python's times can hold it."""
    if stricter(raw):
        return None
    try:
        read = vendor.parse(message, raw)
    except VendorDecodeError:
        return None
    as_python_holds_it(vendor, read)
    return read


def rewritten(vendor: Vendor, message: str, ours: Any) -> Any:
    return vendor.parse(message, codec.encode(ours, vendor.dialect))


def stricter(raw: bytes) -> bool:
    """Whether we refuse what protobuf lets pass: groups, and at times the field number 0."""
    pos = 0
    try:
        while pos < len(raw):
            tag, pos = wire.tag_at(raw, pos)
            if tag < 8 or tag & 7 in (3, 4):
                return True
            pos = wire.skip(raw, tag, pos, len(raw))
    except (IndexError, wire.DecodeError):
        pass
    return False


def split(raw: bytes) -> Iterator[bytes]:
    pos = 0
    while pos < len(raw):
        start = pos
        tag, pos = wire.tag_at(raw, pos)
        pos = wire.skip(raw, tag, pos, len(raw))
        yield raw[start:pos]


def damaged(rng: random.Random, raw: bytes) -> bytes:
    damage = bytearray(raw)
    for _ in range(rng.randrange(1, 4)):
        position = rng.randrange(len(damage) + 1)
        how = rng.randrange(4)
        if how == 0 or position == len(damage):
            damage.insert(position, rng.randrange(256))
        elif how == 1:
            damage[position] = rng.randrange(256)
        elif how == 2:
            del damage[position]
        else:
            del damage[position:]
    return bytes(damage)


def as_python_holds_it(vendor: Vendor, message: Any) -> None:
    """Bring the well-known types in a message to what our plain values can say.

    Times are cut to microseconds and to the years that Python has; a JSON value that says
    nothing is null; what these messages do not know is dropped.
    """
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        micros = message.seconds * 1_000_000 + message.nanos // 1000
        set_time(message, *divmod(clamped(micros, datetime.min, datetime.max), 1_000_000))
        if vendor.dialect is DAPR and micros >= clamped(micros, datetime.max, datetime.max):
            # Dapr's never, which is to the nanosecond.
            message.nanos += 999
    elif name == "google.protobuf.Duration":
        micros = message.seconds * 1_000_000 + int(message.nanos / 1000)
        low, high = (edge // timedelta(microseconds=1) for edge in (timedelta.min, timedelta.max))
        micros = min(max(micros, low), high)
        sign = -1 if micros < 0 else 1
        set_time(message, *(sign * part for part in divmod(abs(micros), 1_000_000)))
    elif name == "google.protobuf.Value" and message.WhichOneof("kind") is None:
        message.null_value = 0
    elif name.endswith("Value") and name.startswith("google.protobuf."):
        message.DiscardUnknownFields()
    for field, value in message.ListFields():
        for nested in nested_messages(field, value):
            as_python_holds_it(vendor, nested)


def clamped(micros: int, earliest: datetime, latest: datetime) -> int:
    epoch = datetime(1970, 1, 1)
    low, high = ((edge - epoch) // timedelta(microseconds=1) for edge in (earliest, latest))
    return min(max(micros, low), high)


def set_time(message: Any, seconds: int, micros: int) -> None:
    message.Clear()
    message.seconds, message.nanos = seconds, micros * 1000


def nested_messages(field: Any, value: Any) -> list[Any]:
    if field.message_type is None:
        return []
    if field.message_type.GetOptions().map_entry:
        held = field.message_type.fields_by_name["value"].message_type
        return [] if held is None else list(value.values())
    return list(value) if field.is_repeated else [value]
