"""The registry gives what was added under its name and explains what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.core.registry import Registry
from durabletask.failures import ActivityNotRegisteredError, OrchestratorNotRegisteredError

KINDS = ["orchestrator", "activity"]


def greet(_ctx: Any) -> None: ...


def add(registry: Registry, kind: str, *args: Any) -> str:
    name: str = getattr(registry, f"add_{kind}")(*args)
    return name


@pytest.mark.parametrize("kind", KINDS)
def test_adding_gives_the_name(kind: str) -> None:
    registry = Registry()

    assert add(registry, kind, greet) == "greet"
    assert add(registry, kind, greet, "another") == "another"

    assert getattr(registry, kind)("another") is greet


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_can_be_taken_once(kind: str) -> None:
    registry = Registry()
    add(registry, kind, greet)

    with pytest.raises(ValueError, match=f"A 'greet' {kind} already exists"):
        add(registry, kind, greet)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_and_no_name_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"An {kind} function argument is required"):
        add(Registry(), kind, None)
    with pytest.raises(ValueError, match=f"A non-empty {kind} name is required"):
        add(Registry(), kind, greet, "")


def test_names_are_listed_by_kind() -> None:
    registry = Registry()
    registry.add_orchestrator(greet, "flow")
    registry.add_activity(greet, "step")
    registry.add_entity(greet, "Counter")

    assert registry.orchestrator_names() == ("flow",)
    assert registry.activity_names() == ("step",)
    assert registry.entity_names() == ("counter",)


def test_a_missing_name_is_answered_with_those_there_are() -> None:
    registry = Registry()
    registry.add_orchestrator(greet, "flow")
    registry.add_activity(greet, "step")

    with pytest.raises(OrchestratorNotRegisteredError, match=r"'Flow'.*'flow'"):
        registry.orchestrator("Flow")
    with pytest.raises(ActivityNotRegisteredError, match=r"'stop'.*'step'"):
        registry.activity("stop")
