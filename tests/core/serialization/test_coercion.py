"""Reading as a type: what is rebuilt, and that the rest comes back untyped instead of failing."""

from __future__ import annotations

import enum
import logging
import typing
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.serialization import DataConverter, JsonDataConverter

if typing.TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]

converter = JsonDataConverter()


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    number: int | None = None


@dataclass
class Person:
    name: str
    home: Address
    others: list[Address] = field(default_factory=list)
    by_name: dict[str, Address] = field(default_factory=dict)
    pair: tuple[int, Address] | None = None
    colour: Colour = Colour.RED


@dataclass
class Tree:
    label: str
    branches: list[Tree] = field(default_factory=list)


@dataclass
class Partly:
    """One annotation cannot be looked up; the others still count."""

    strange: Unknown
    home: Address


@dataclass
class Office(Partly):
    """A field may get another type in a subclass."""

    home: Person | None  # type: ignore[assignment]


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Celsius) and other.degrees == self.degrees

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> str:
        return f"{self.degrees} C"

    @classmethod
    def from_json(cls, value: str) -> Celsius:
        return cls(float(value.removesuffix(" C")))


@dataclass
class Weather:
    """Its hook wins over being a dataclass, and is given the converter."""

    days: list[Celsius]

    @classmethod
    def from_json(cls, value: Any, converter: DataConverter) -> Weather:
        return cls([converter.coerce(day, Celsius) for day in value["days"]])


class Lenient:
    def __init__(self, value: Any, *, strict: bool) -> None:
        self.seen = (value, strict)

    @staticmethod
    def from_json(value: Any, strict: bool = False) -> Lenient:
        return Lenient(value, strict=strict)


addresses = st.builds(Address, st.text(), st.none() | st.integers())
people = st.builds(
    Person,
    st.text(),
    addresses,
    st.lists(addresses, max_size=3),
    st.dictionaries(st.text(), addresses, max_size=3),
    st.none() | st.tuples(st.integers(), addresses),
    st.sampled_from(Colour),
)
trees = st.recursive(
    st.builds(Tree, st.text()),
    lambda inner: st.builds(Tree, st.text(), st.lists(inner, max_size=3)),
)


@given(people)
def test_dataclasses_come_back_as_they_were_with_everything_in_them(person: Person) -> None:
    assert converter.deserialize(converter.serialize(person), Person) == person


@given(trees)
def test_a_dataclass_may_hold_others_of_its_own_kind(tree: Tree) -> None:
    assert converter.deserialize(converter.serialize(tree), Tree) == tree


@given(st.lists(people, max_size=3))
def test_a_value_read_untyped_can_be_given_its_type_later(group: list[Person]) -> None:
    plain = converter.deserialize(converter.serialize(group))

    assert converter.coerce(plain, list[Person]) == group


HOME = {"street": "Elm", "number": 1}
ELM = Address("Elm", 1)


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        ("5", int, 5),
        (5, str, "5"),
        (1, float, 1.0),
        ("1.50", Decimal, Decimal("1.50")),
        ("00000000-0000-0000-0000-000000000001", uuid.UUID, uuid.UUID(int=1)),
        ("red", Colour, Colour.RED),
        (["red", "blue"], list[Colour], [Colour.RED, Colour.BLUE]),
        ([1, 2], set, {1, 2}),
        (True, int, True),
        (HOME, Address, ELM),
        ({**HOME, "added_later": 1}, Address, ELM),
        ({"street": "Elm"}, Address, Address("Elm")),
        ([HOME], Sequence[Address], [ELM]),
        ({"a": HOME}, dict[str, Address], {"a": ELM}),
        ({"a": HOME}, Mapping[str, Address], {"a": ELM}),
        ([HOME, 1], tuple[Address, int], (ELM, 1)),
        ([HOME, HOME], tuple[Address, ...], (ELM, ELM)),
        ([1, "x"], tuple, (1, "x")),
        ([1, "x"], typing.Tuple, (1, "x")),  # noqa: UP006  # users write it so, too
        ([HOME], typing.List[Address], [ELM]),  # noqa: UP006
        (HOME, Optional[Address], ELM),  # noqa: UP045
        (HOME, Address | None, ELM),
        ([HOME, None], list[Address | None], [ELM, None]),
        (HOME, Annotated[Address, "where to"], ELM),
        ("21.5 C", Celsius, Celsius(21.5)),
        (["1 C"], list[Celsius], [Celsius(1)]),
        ({"days": ["1 C", "2 C"]}, Weather, Weather([Celsius(1), Celsius(2)])),
        # Not an object: the type is called with it, as any other type is.
        ("Elm", Address, Address("Elm")),
        ({"strange": [1], "home": HOME}, Partly, Partly([1], ELM)),
        (
            {"strange": 1, "home": {"name": "Ann", "home": HOME}},
            Office,
            Office(1, Person("Ann", ELM)),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_is_read_as_the_type_that_is_asked_for(
    value: Any, target: Any, expected: Any
) -> None:
    read = converter.deserialize(converter.serialize(value), target)

    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        (HOME, Any),
        (HOME, Union[Address, Person]),  # noqa: UP007
        (HOME, Address | dict[str, Address]),
        (1, str | int),
        ("a", Literal["a", "b"]),
        (HOME, typing.TypeVar("T")),
        (HOME, "Address"),
        ({"a": 1}, set[int]),
        ({"a": 1}, list[int]),
        ([1], dict[str, int]),
        ("x", tuple[int]),
    ],
    ids=str,
)
def test_hints_that_do_not_say_what_to_build_leave_the_value_as_it_is(
    value: Any, target: Any
) -> None:
    assert converter.deserialize(converter.serialize(value), target) == value


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("many", int),
        ("green", Colour),
        ({"number": 1}, Address),
        ([HOME, {}], list[Address]),
        ({"name": "Ann", "home": {}}, Person),
        ([1, 2, 3], tuple[int, int]),
        (["warm"], list[Celsius]),
    ],
    ids=str,
)
def test_what_does_not_fit_comes_back_untyped_and_is_logged(
    value: Any, target: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "durabletask"):
        read = converter.deserialize(converter.serialize(value), target)
        coerced = converter.coerce(value, target)

    assert read == coerced == value
    assert len(caplog.records) == 2


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.data())
def test_reading_json_as_any_type_never_fails(value: Any, data: st.DataObject) -> None:
    target = data.draw(
        st.sampled_from([int, bool, Colour, Person, Tree, Celsius, list[Person], tuple[int, str]])
    )

    converter.deserialize(converter.serialize(value), target)


def test_a_second_parameter_of_another_name_is_not_the_converter() -> None:
    read = converter.deserialize('"x"', Lenient)

    assert read.seen == ("x", False)


def test_a_value_that_is_of_the_type_already_is_not_rebuilt() -> None:
    assert converter.coerce(ELM, Address) is ELM


def test_no_value_has_no_type() -> None:
    assert converter.coerce(None, Address) is None
    assert converter.coerce(HOME, None) is HOME


@dataclass
class Derived:
    price: int
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = self.price * 2


@dataclass
class ByHand:
    price: int
    total: int = field(init=False)

    def __init__(self, price: int, total: int = 0) -> None:
        self.price, self.total = price, total


@dataclass
class TakesAnything:
    price: int
    total: int = field(init=False)

    def __init__(self, **members: int) -> None:
        vars(self).update(members)


@dataclass
class WithHelper:
    price: int
    helper: InitVar[int] = 3


@pytest.mark.parametrize(
    ("target", "total"), [(Derived, 14), (ByHand, 99), (TakesAnything, 99)], ids=str
)
def test_a_field_outside_init_is_given_only_to_an_initializer_that_takes_it(
    target: type[Any], total: int
) -> None:
    assert converter.deserialize('{"price": 7, "total": 99}', target).total == total


def test_an_init_var_is_no_field() -> None:
    assert converter.deserialize('{"price": 7, "helper": 9}', WithHelper) == WithHelper(7)


def test_a_dataclass_made_inside_a_function_may_refer_to_itself() -> None:
    @dataclass
    class Node:
        after: Node | None = None

    assert converter.deserialize('{"after": {}}', Node) == Node(Node())
