"""An entity's id is a value: it compares, sorts, hashes and comes back from its text."""

from __future__ import annotations

import enum
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.entities import EntityInstanceId

parts = st.text(
    st.characters(exclude_characters="@", exclude_categories=["Cs"]), min_size=1, max_size=8
)
ids = st.builds(EntityInstanceId, parts, parts)


@given(ids)
def test_an_id_comes_back_from_its_text(id: EntityInstanceId) -> None:
    assert EntityInstanceId.parse(str(id)) == id


@given(st.lists(ids))
def test_ids_sort_as_their_texts_do(many: list[EntityInstanceId]) -> None:
    assert [str(id) for id in sorted(many)] == sorted(str(id) for id in many)


def test_the_order_is_that_of_the_whole_text_and_not_of_the_parts() -> None:
    assert EntityInstanceId("a-b", "k") < EntityInstanceId("a", "k")


def test_names_have_no_case_and_keys_have() -> None:
    assert EntityInstanceId("Counter", "A") == EntityInstanceId("counter", "A")
    assert EntityInstanceId("counter", "a") != EntityInstanceId("counter", "A")
    assert str(EntityInstanceId("Counter", "A")) == "@counter@A"


def test_equal_ids_are_one_in_a_set() -> None:
    assert len({EntityInstanceId("Counter", "a"), EntityInstanceId("counter", "a")}) == 1


def test_an_id_is_not_its_text() -> None:
    assert EntityInstanceId("counter", "a") != "@counter@a"
    with pytest.raises(TypeError):
        sorted([EntityInstanceId("counter", "a"), "@counter@b"])  # type: ignore[type-var]


def test_an_id_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        EntityInstanceId("counter", "a").key = "b"  # type: ignore[misc]


class Region(str, enum.Enum):  # noqa: UP042 - what it is about
    NORTH = "North"


def test_a_part_that_is_a_member_of_an_enum_is_its_value() -> None:
    id = EntityInstanceId(Region.NORTH, Region.NORTH)

    assert str(id) == "@north@North"
    assert id == EntityInstanceId("north", "North")
    assert (type(id.entity), type(id.key)) == (str, str)


def test_an_id_survives_pickling() -> None:
    id = EntityInstanceId("Counter", "a")

    assert pickle.loads(pickle.dumps(id)) == id


@pytest.mark.parametrize(
    ("name", "key", "told"),
    [
        ("", "k", "Entity name cannot be empty."),
        ("e", "", "Entity key cannot be empty."),
        (None, "k", "Entity name cannot be empty."),
        ("e", None, "Entity key cannot be empty."),
        ("e@f", "k", "Entity name cannot contain '@' symbol."),
        ("e", "k@l", "Entity key cannot contain '@' symbol."),
        ("e", "\udce9", "lone surrogate"),
    ],
)
def test_what_no_id_can_hold_is_refused(name: Any, key: Any, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        EntityInstanceId(name, key)


@pytest.mark.parametrize("key", [5, b"k", EntityInstanceId("a", "b")])
def test_a_part_that_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="entity key must be a str"):
        EntityInstanceId("counter", key)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("counter@a", "Entity ID must start with '@'"),
        ("", "Entity ID must start with '@'"),
        ("@counter", "Invalid entity ID format: @counter"),
        ("@", "Invalid entity ID format: @"),
        ("@counter@", "Entity key cannot be empty."),
        ("@@a", "Entity name cannot be empty."),
        ("@counter@a@b", "Entity key cannot contain '@' symbol."),
    ],
)
def test_a_text_that_is_no_id_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        EntityInstanceId.parse(text)


def test_what_is_no_text_cannot_be_parsed() -> None:
    with pytest.raises(TypeError, match="entity_id must be a str, not 5"):
        EntityInstanceId.parse(5)  # type: ignore[arg-type]
