"""Filters say what they let through, and follow from what is registered."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.core.registry import Registry
from durabletask.core.versioning import mismatch
from durabletask.protocol import messages
from durabletask.worker import (
    ActivityWorkItemFilter,
    EntityWorkItemFilter,
    OrchestrationWorkItemFilter,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)
from durabletask.worker._filters import filters_from_registry, to_message


def anything(_ctx: Any, _input: Any) -> None: ...


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add_orchestrator(anything, "Order")
    registry.add_activity(anything, "charge")
    registry.add_entity(anything, "Basket")
    return registry


@pytest.mark.parametrize(
    ("versioning", "versions"),
    [
        (None, []),
        (VersioningOptions("1.0"), []),
        (VersioningOptions("1.0", match_strategy=VersionMatchStrategy.CURRENT_OR_OLDER), []),
        (VersioningOptions("1.0", match_strategy=VersionMatchStrategy.STRICT), ["1.0"]),
        (VersioningOptions(match_strategy=VersionMatchStrategy.STRICT), [""]),
        (VersioningOptions("", match_strategy=VersionMatchStrategy.STRICT), [""]),
    ],
)
def test_only_orchestrations_of_a_strict_worker_are_filtered_by_version(
    registry: Registry, versioning: VersioningOptions | None, versions: list[str]
) -> None:
    assert filters_from_registry(registry, versioning) == WorkItemFilters(
        [OrchestrationWorkItemFilter("Order", versions)],
        [ActivityWorkItemFilter("charge")],
        [EntityWorkItemFilter("basket")],
    )


@pytest.mark.parametrize("failure_strategy", [None, *VersionFailureStrategy])
@pytest.mark.parametrize("version", [None, "", "1.0"])
@pytest.mark.parametrize("started_with", [None, "", "1.0", "2.0"])
def test_a_strict_worker_asks_for_exactly_the_orchestrations_that_it_would_run(
    registry: Registry,
    failure_strategy: VersionFailureStrategy | None,
    version: str | None,
    started_with: str | None,
) -> None:
    """Whatever it does with a mismatch: who wants to fail those uses no filters."""
    options = VersioningOptions(
        version,
        match_strategy=VersionMatchStrategy.STRICT,
        failure_strategy=failure_strategy,
    )

    (wanted,) = filters_from_registry(registry, options).orchestrations

    is_sent = not wanted.versions or (started_with or "") in wanted.versions
    assert is_sent == (mismatch(started_with, options) is None)


def test_the_filters_of_a_worker_that_hosts_nothing_are_empty() -> None:
    assert filters_from_registry(Registry(), None) == WorkItemFilters()


def test_filters_are_encoded_completely() -> None:
    filters = WorkItemFilters(
        [OrchestrationWorkItemFilter("Order", ["1", "2"])],
        [ActivityWorkItemFilter("charge", ["3"])],
        [EntityWorkItemFilter("Basket")],
    )

    assert to_message(filters) == messages.WorkItemFilters(
        orchestrations=[messages.OrchestrationFilter(name="Order", versions=["1", "2"])],
        activities=[messages.ActivityFilter(name="charge", versions=["3"])],
        entities=[messages.EntityFilter(name="basket")],
    )


@pytest.mark.parametrize(
    ("name", "text"), [("", "Entity name cannot be empty"), ("a@b", "cannot contain '@'")]
)
def test_a_name_that_no_entity_has_is_refused_in_the_official_words(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        EntityWorkItemFilter(name)


@pytest.mark.parametrize("kind", [OrchestrationWorkItemFilter, ActivityWorkItemFilter])
@pytest.mark.parametrize("arguments", [(5,), ("order", "1.0"), ("order", [1])])
def test_names_and_versions_are_text(kind: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        kind(*arguments)


def test_a_filter_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="each of activities must be an ActivityWorkItemFilter"):
        WorkItemFilters(activities=[OrchestrationWorkItemFilter("charge")])  # type: ignore[list-item]
