"""Every field of both vendors' contracts has its place in ours."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, dialects, layouts, messages, wire
from tests.builders.protocol import LEFT_OUT, all_classes, vendor_messages, vendors

if TYPE_CHECKING:
    from tests.builders.protocol import Vendor

each_message = pytest.mark.parametrize(
    ("vendor", "message"),
    [pytest.param(vendor, name, id=f"{vendor.name}-{name}") for vendor, name in vendor_messages()],
)
each_vendor = pytest.mark.parametrize("vendor", vendors(), ids=lambda vendor: vendor.name)


def numbers(vendor: Vendor, message_class: type[Any]) -> dict[str, int]:
    """Our fields that the dialect has, with its numbers."""
    layout = layouts.layout(message_class, vendor.dialect)
    return {field.name: field.number for field in layout.fields}


@each_message
def test_our_fields_have_the_vendors_numbers(vendor: Vendor, message: str) -> None:
    contract = {field.ours: field.number for field in vendor.fields(message)}

    assert numbers(vendor, vendor.our_class(message)) == contract


@each_message
def test_our_fields_have_the_vendors_types(vendor: Vendor, message: str) -> None:
    layout = layouts.layout(vendor.our_class(message), vendor.dialect)
    contract = {field.ours: wire_type(vendor, field.type) for field in vendor.fields(message)}

    assert {field.name: layout_type(field) for field in layout.fields} == contract


@each_vendor
def test_every_message_and_enum_is_ours_or_left_out(vendor: Vendor) -> None:
    known = {vendor.our_name(name) for name in vendor.contract["messages"] if name not in LEFT_OUT}
    known |= set(vendor.contract["enums"]) - LEFT_OUT

    assert [name for name in sorted(known) if not hasattr(messages, name)] == []


def test_nothing_is_left_out_that_no_contract_has() -> None:
    contracts = [vendor.contract for vendor in vendors()]
    named = {
        name for contract in contracts for part in ("messages", "enums") for name in contract[part]
    }

    assert named >= LEFT_OUT


@each_vendor
def test_every_enum_value_has_the_vendors_number(vendor: Vendor) -> None:
    for name, contract in vendor.contract["enums"].items():
        if name in LEFT_OUT:
            continue
        enum = getattr(messages, name)
        values = {
            member.proto_name or member.name: vendor.dialect.enum_value(name, member)
            for member in enum
        }
        assert contract.items() <= values.items()


@pytest.mark.parametrize("dialect", [dialects.NATIVE, dialects.TASKHUB, dialects.DAPR], ids=repr)
def test_no_two_fields_of_a_message_share_a_number(dialect: dialects.Dialect) -> None:
    for message_class in all_classes():
        used = Counter(field.number for field in layouts.layout(message_class, dialect).fields)

        assert [number for number, count in used.items() if count > 1] == []


def test_every_exception_names_a_field_that_exists() -> None:
    """A misspelt exception would be no exception."""
    for message, names in dialects.DAPR.absent_fields.items():
        declared = {field.name for field in dataclasses.fields(getattr(messages, message))}
        assert names <= declared, message
    for message, moved in dialects.DAPR.moved_fields.items():
        declared = {field.name for field in dataclasses.fields(getattr(messages, message))}
        assert moved.keys() <= declared, message


def test_json_properties_are_where_the_contract_has_values() -> None:
    contract = {
        (vendor.our_name(message), field.ours)
        for vendor, message in vendor_messages()
        for field in vendor.fields(message)
        if field.type == "map<string, google.protobuf.Value>"
    }

    assert contract == layouts.JSON_MAPS


def wire_type(vendor: Vendor, contract_type: str) -> str:
    short = contract_type.removeprefix("google.protobuf.")
    ours: str = vendor.our_name(short)
    return ours


def layout_type(field: layouts.Field) -> str:
    if field.type is not None:
        return field.type.__name__
    return {
        layouts.FieldKind.STRING: "string",
        layouts.FieldKind.BYTES: "bytes",
        layouts.FieldKind.BOOL: "bool",
        layouts.FieldKind.INT32: "int32",
        layouts.FieldKind.UINT32: "uint32",
        layouts.FieldKind.STRING_VALUE: "StringValue",
        layouts.FieldKind.BOOL_VALUE: "BoolValue",
        layouts.FieldKind.INT32_VALUE: "Int32Value",
        layouts.FieldKind.TIMESTAMP: "Timestamp",
        layouts.FieldKind.DURATION: "Duration",
        layouts.FieldKind.STRING_MAP: "map<string, string>",
        layouts.FieldKind.JSON_MAP: "map<string, google.protobuf.Value>",
    }[field.kind]


def test_the_latest_time_is_daprs_never() -> None:
    """Dapr's SDKs compare it to the nanosecond, which no datetime of ours holds."""
    timer = messages.CreateTimerAction(fire_at=datetime.max.replace(tzinfo=UTC))

    raw = codec.encode(timer, dialects.DAPR)

    assert raw.endswith(b"\x10" + wire.varint(999_999_999))
    assert codec.decode(messages.CreateTimerAction, raw, dialects.DAPR) == timer
