"""Entities are registered under names without case."""

from __future__ import annotations

import re
from typing import Any

import pytest

from durabletask.core.registry import Registry
from durabletask.entities import DurableEntity
from durabletask.failures import EntityNotRegisteredError


class Counter(DurableEntity): ...


def counter(_ctx: Any) -> None: ...


def test_adding_gives_the_name_as_it_is_written() -> None:
    registry = Registry()

    assert registry.add_entity(Counter) == "Counter"
    assert registry.add_entity(Counter, "Tally") == "Tally"


@pytest.mark.parametrize("name", ["counter", "Counter", "COUNTER"])
def test_an_entity_is_found_whatever_the_case(name: str) -> None:
    registry = Registry()
    registry.add_entity(Counter)

    assert registry.entity(name) is Counter


def test_a_name_can_be_taken_once_in_any_case() -> None:
    registry = Registry()
    registry.add_entity(Counter)

    with pytest.raises(ValueError, match="A 'counter' entity already exists"):
        registry.add_entity(counter)


def test_the_name_may_stand_in_the_entity() -> None:
    class Renamed(DurableEntity):
        __durable_entity_name__ = "Tally"

    registry = Registry()

    assert registry.add_entity(Renamed) == "Tally"
    assert registry.entity("tally") is Renamed


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((None,), "An entity function argument is required."),
        ((None, "name"), "An entity function argument is required."),
        ((Counter, ""), "Entity name cannot be empty."),
        ((Counter, "a@b"), "Entity name cannot contain '@' symbol."),
        ((lambda _ctx: None,), "Cannot infer a name from a lambda function."),
    ],
)
def test_what_cannot_be_registered_is_refused(args: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Registry().add_entity(*args)


@pytest.mark.parametrize(
    ("args", "told"),
    [((int,), "has to inherit from DurableEntity"), ((Counter, 5), "entity name must be a str")],
)
def test_what_is_of_the_wrong_type_is_refused(args: tuple[Any, ...], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Registry().add_entity(*args)


def test_a_missing_entity_is_answered_with_those_there_are() -> None:
    registry = Registry()
    registry.add_entity(Counter)

    with pytest.raises(EntityNotRegisteredError, match="Did you mean 'counter'"):
        registry.entity("Countr")
