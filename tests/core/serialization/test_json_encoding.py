"""The JSON text of values: that of `json.dumps`, to the letter, plus hooks."""

from __future__ import annotations

import enum
import json
import uuid
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.serialization import DEFAULT_DATA_CONVERTER, JsonDataConverter

converter = JsonDataConverter()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Money:
    amount: int
    currency: str = "EUR"

    def to_json(self) -> str:
        return f"{self.amount} {self.currency}"


@dataclass
class Order:
    id: int
    colour: Colour
    price: Money | None = None


@dataclass
class Defaults:
    number: int = 1


class Custom:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @staticmethod
    def to_json(value: Custom) -> dict[str, Any]:
        return {"inner": value.inner}


Point = namedtuple("Point", "x y")  # noqa: PYI024  # users have these


@given(json_values)
def test_json_values_are_written_as_json_dumps_writes_them(value: Any) -> None:
    expected = None if value is None else json.dumps(value)

    assert converter.serialize(value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "NaN"),
        ("é", '"\\u00e9"'),
        ([1, {"a": None}], '[1, {"a": null}]'),
        ((1, 2), "[1, 2]"),
        (Point(1, 2), "[1, 2]"),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (SimpleNamespace(a=Colour.RED), '{"a": "red"}'),
        (Order(1, Colour.RED), '{"id": 1, "colour": "red", "price": null}'),
        (Order(1, Colour.RED, Money(5)), '{"id": 1, "colour": "red", "price": "5 EUR"}'),
        pytest.param(
            Custom([Custom(1)]), '{"inner": [{"inner": 1}]}', id="a hook that takes the value"
        ),
        ("", '""'),
        (0, "0"),
        (False, "false"),
    ],
    ids=repr,
)
def test_objects_are_written_by_hook_enum_value_fields_or_attributes(value: Any, text: str) -> None:
    assert converter.serialize(value) == text


def test_none_is_no_payload() -> None:
    assert converter.serialize(None) is None


@pytest.mark.parametrize(
    "value",
    [
        datetime(2020, 1, 1, tzinfo=UTC),
        Decimal(1),
        uuid.UUID(int=1),
        {1},
        b"bytes",
        object(),
        {Colour.RED: 1},
        {(1, 2): 3},
        Order,
        Defaults,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_would_not_give_back_is_refused(value: Any) -> None:
    name = type(value).__name__

    with pytest.raises(TypeError, match=f"Failed to serialize object of type '{name}' to JSON: "):
        converter.serialize(value)


def test_the_error_names_the_part_that_does_not_fit() -> None:
    with pytest.raises(TypeError, match=r"type 'list'.*Object of type 'set' is not") as caught:
        converter.serialize([{1}])

    assert isinstance(caught.value.__cause__, TypeError)


class Broken:
    def to_json(self) -> Any:
        raise LookupError("no such price")


def cyclic() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def bottomless() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize("make", [Broken, cyclic, bottomless, lambda: 10**10_000])
def test_whatever_goes_wrong_in_writing_is_a_type_error(make: Any) -> None:
    with pytest.raises(TypeError, match="Failed to serialize"):
        converter.serialize(make())


anything = st.recursive(
    json_values
    | st.binary()
    | st.sets(st.integers())
    | st.datetimes()
    | st.decimals()
    | st.builds(Custom, st.integers() | st.binary())
    | st.sampled_from([Colour.RED, Level.HIGH, Broken(), Order, object()]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.binary(), inner) | st.tuples(inner)
    ),
)


@given(anything)
def test_any_value_becomes_json_text_or_a_type_error(value: Any) -> None:
    try:
        text = converter.serialize(value)
    except TypeError:
        return

    assert text is None if value is None else isinstance(json.loads(text or ""), object)


def test_the_default_converter_is_the_json_one() -> None:
    assert isinstance(DEFAULT_DATA_CONVERTER, JsonDataConverter)
