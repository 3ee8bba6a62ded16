"""An entity's context works without an engine: what an operation does to it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from durabletask.entities import (
    DurableEntity,
    EntityContext,
    EntityInstanceId,
    SignalRequest,
    StartRequest,
)

OTHER = EntityInstanceId("other", "x")


def context(state: Any = None) -> EntityContext:
    return EntityContext("@counter@a", "add", state)


@dataclass
class Point:
    x: int


def test_a_context_tells_entity_and_operation() -> None:
    ctx = context()

    assert ctx.entity_id == EntityInstanceId("counter", "a")
    assert ctx.orchestration_id == "@counter@a"
    assert ctx.operation == "add"


def test_the_official_order_of_arguments_is_kept() -> None:
    assert EntityContext("an id", "add", 1, OTHER).entity_id is OTHER


def test_there_is_a_default_only_while_there_is_no_state() -> None:
    ctx = context()

    assert ctx.get_state(int, 7) == 7
    assert ctx.get_state(int) is None
    ctx.set_state(0)
    assert ctx.get_state(int, 7) == 0


@pytest.mark.parametrize("falsy", [0, "", False, [], {}])
def test_falsy_states_are_states(falsy: Any) -> None:
    ctx = context(falsy)

    assert ctx.get_state(default="none") == falsy


def test_no_state_is_what_none_leaves() -> None:
    ctx = context(5)

    ctx.set_state(None)

    assert ctx.get_state(int, 0) == 0


def test_the_state_is_read_as_the_asked_type() -> None:
    assert context(Point(3)).get_state(Point) == Point(3)
    assert context([Point(3)]).get_state(list[Point]) == [Point(3)]  # type: ignore[type-var]
    assert context(Point(3)).get_state() == {"x": 3}


def test_a_state_that_is_no_such_thing_is_refused() -> None:
    with pytest.raises(TypeError, match="Could not convert state of type 'str' to 'int'"):
        context("many").get_state(int)


def test_changing_what_was_read_changes_nothing() -> None:
    ctx = context([1])

    ctx.get_state(list, []).append(2)

    assert ctx.get_state() == [1]


def test_a_state_that_cannot_be_written_is_refused_where_it_is_set() -> None:
    ctx = context(1)

    with pytest.raises(TypeError):
        ctx.set_state(object())

    assert ctx.get_state() == 1


def test_requests_are_kept_in_order() -> None:
    ctx = context()
    due = datetime(2026, 5, 1, tzinfo=UTC)

    ctx.signal_entity(OTHER, "ping", [1], due)
    id = ctx.schedule_new_orchestration("report", "now")
    ctx.schedule_new_orchestration("report", instance_id="mine")

    assert ctx.requests == [
        SignalRequest(OTHER, "ping", "[1]", due),
        StartRequest("report", id, '"now"'),
        StartRequest("report", "mine", None),
    ]


def test_orchestrations_without_an_id_get_one_each() -> None:
    ctx = context()

    assert len({ctx.schedule_new_orchestration("report") for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda ctx: ctx.signal_entity("@other@x", "ping"), "entity_instance_id must be an Ent"),
        (lambda ctx: ctx.signal_entity(OTHER, 5), "operation must be a str"),
        (lambda ctx: ctx.signal_entity(OTHER, "ping", None, 5), "signal_time must be a datetime"),
        (lambda ctx: ctx.signal_entity(OTHER, "ping", object()), "object"),
        (lambda ctx: ctx.schedule_new_orchestration(len), "orchestration_name must be a str"),
        (lambda ctx: ctx.schedule_new_orchestration("o", None, 5), "instance_id must be a str"),
    ],
)
def test_what_no_message_can_hold_is_refused_where_it_is_given(ask: Any, told: str) -> None:
    ctx = context()

    with pytest.raises(TypeError, match=told):
        ask(ctx)

    assert ctx.requests == []


class Counter(DurableEntity):
    def add(self, amount: int) -> int:
        total = self.get_state(int, 0) + amount
        self.set_state(total)
        self.signal_entity(OTHER, "added", amount)
        self.schedule_new_orchestration("report", total, "r-1")
        return total


def test_a_class_entity_works_on_the_context_it_is_given() -> None:
    counter = Counter()
    counter.entity_context = context(5)

    assert counter.add(3) == 8

    assert counter.get_state(int) == 8
    assert counter.entity_context.requests == [
        SignalRequest(OTHER, "added", "3"),
        StartRequest("report", "r-1", "8"),
    ]


def test_delete_leaves_no_state() -> None:
    counter = Counter()
    counter.entity_context = context(5)

    counter.delete()

    assert counter.get_state() is None


def test_an_entity_outside_an_operation_has_no_state_and_says_why() -> None:
    with pytest.raises(AttributeError, match="during its operations only, not in `__init__`"):
        Counter().get_state(int)
