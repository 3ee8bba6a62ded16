"""Versions are compared as the official SDK does, and options mean what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.core.settings import Settings
from durabletask.core.versioning import (
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    compare,
    mismatch,
    version_of,
)
from durabletask.task import RetryPolicy
from tests.builders.core import FakeEngine, beginning, events

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

TWICE = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
STRICT, OLDER = VersionMatchStrategy.STRICT, VersionMatchStrategy.CURRENT_OR_OLDER

versions = st.one_of(
    st.none(), st.just(""), st.text(max_size=4), st.from_regex(r"\A[0-9]{1,2}(\.[0-9]){0,2}\Z")
)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1.0", "1.0.0", 0),
        ("v1.0", "1.0", 0),
        ("2", "10", -1),
        ("1.0a1", "1.0", -1),
        ("b", "a", 1),
        ("10", "9-x", -1),
        (None, "1", -1),
        ("", "1", -1),
        ("1", None, 1),
        (None, "", 0),
        (None, None, 0),
    ],
)
def test_versions_are_ordered_as_those_of_packages_else_as_text(
    left: str | None, right: str | None, expected: int
) -> None:
    assert compare(left, right) == expected


@given(versions, versions)
def test_turned_round_a_comparison_says_the_opposite(left: str | None, right: str | None) -> None:
    assert compare(left, right) == -compare(right, left)


@pytest.mark.parametrize(
    ("strategy", "runs"),
    [
        (None, [None, "1", "2.0", "3"]),
        (VersionMatchStrategy.NONE, [None, "1", "2.0", "3"]),
        (STRICT, ["2.0"]),
        (OLDER, [None, "1", "2.0"]),
    ],
)
def test_a_worker_of_version_2_runs(
    strategy: VersionMatchStrategy | None, runs: list[str | None]
) -> None:
    options = VersioningOptions("2", match_strategy=strategy)

    assert [each for each in (None, "1", "2.0", "3") if mismatch(each, options) is None] == runs


@pytest.mark.parametrize(
    ("version", "strategy", "text"),
    [
        ("2.0", STRICT, "The orchestration version '2.0' does not match the worker version '1'."),
        (None, STRICT, "The orchestration version 'None' does not match the worker version '1'."),
        ("2.0", OLDER, "The orchestration version '2.0' is greater than the worker version '1'."),
        ("1", cast("Any", 7), "The version match strategy '7' is unknown."),
    ],
)
def test_what_does_not_match_is_told_in_the_official_words(
    version: str | None, strategy: VersionMatchStrategy, text: str
) -> None:
    assert mismatch(version, VersioningOptions("1", match_strategy=strategy)) == text


def test_without_a_failure_strategy_nothing_is_handed_back_for_ever() -> None:
    assert not VersioningOptions("1", match_strategy=STRICT).rejects
    assert not VersioningOptions("1", failure_strategy=VersionFailureStrategy.FAIL).rejects
    assert VersioningOptions("1", failure_strategy=VersionFailureStrategy.REJECT).rejects


@pytest.mark.parametrize("name", ["version", "default_version"])
def test_versions_are_text(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a str or None"):
        VersioningOptions(**{name: cast("Any", 2)})


def test_the_version_of_a_history_is_that_of_its_start() -> None:
    start = events.execution_started("flow", instance_id="one", version="1.2")

    assert version_of([events.orchestrator_started(), start]) == "1.2"
    assert version_of(beginning("flow")) is None
    assert version_of([]) is None


def test_a_child_that_is_called_again_keeps_its_version() -> None:
    def parent(ctx: Any) -> Generator[Any, Any, None]:
        yield ctx.call_sub_orchestrator("no such", version="1.5", retry_policy=TWICE)

    assert versions_of_children(parent, Settings(default_version="1.0")) == ["1.5", "1.5"]


def test_a_child_without_a_version_gets_the_default_one() -> None:
    def parent(ctx: Any) -> Generator[Any, Any, None]:
        yield ctx.call_sub_orchestrator("no such", retry_policy=TWICE)

    assert versions_of_children(parent, Settings(default_version="1.0")) == ["1.0", "1.0"]
    assert versions_of_children(parent, Settings()) == [None, None]


def versions_of_children(parent: Callable[..., Any], settings: Settings) -> list[str | None]:
    hub = FakeEngine(parent, settings=settings)
    instance = hub.run(parent)
    hub.advance(timedelta(minutes=1))
    children = [
        action.create_sub_orchestration
        for decision in instance.decisions
        for action in decision.actions
    ]
    return [child.version for child in children if child is not None]
