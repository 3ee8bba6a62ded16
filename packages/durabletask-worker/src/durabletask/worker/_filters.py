"""Which work a worker wants to be sent.

Plain values: what a sidecar makes of them is its business.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.core.arguments import instance_of, text, wrong_type
from durabletask.core.versioning import VersionMatchStrategy
from durabletask.entities import EntityInstanceId

if TYPE_CHECKING:
    from durabletask.core.registry import Registry
    from durabletask.core.versioning import VersioningOptions
    from durabletask.protocol import messages


class Derived(enum.Enum):
    """Stands for the filters that follow from what is registered when the worker starts."""

    FROM_REGISTRY = enum.auto()


@dataclass(frozen=True)
class OrchestrationWorkItemFilter:
    """Orchestrations of one name, and of these versions; without any, of all versions."""

    name: str
    versions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check(self.name, self.versions)


@dataclass(frozen=True)
class ActivityWorkItemFilter:
    """Activities of one name, and of these versions; without any, of all versions.

    Orchestrators of this SDK call activities without a version, so that a filter with versions
    matches those that other SDKs call.
    """

    name: str
    versions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check(self.name, self.versions)


@dataclass(frozen=True)
class EntityWorkItemFilter:
    """Entities of one name, which has no case and is kept in small letters.

    Raises ValueError if no entity can have that name.
    """

    name: str

    def __post_init__(self) -> None:
        EntityInstanceId.validate_entity_name(self.name)
        object.__setattr__(self, "name", self.name.lower())


@dataclass(frozen=True)
class WorkItemFilters:
    """All that a worker wants. Of a kind that has no filter it is sent nothing.

    Example:
        ```python
        worker.use_work_item_filters(
            WorkItemFilters(
                orchestrations=[OrchestrationWorkItemFilter("order", ["2.0"])],
                activities=[ActivityWorkItemFilter("charge")],
            )
        )
        ```
    """

    orchestrations: list[OrchestrationWorkItemFilter] = field(default_factory=list)
    activities: list[ActivityWorkItemFilter] = field(default_factory=list)
    entities: list[EntityWorkItemFilter] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_each(OrchestrationWorkItemFilter, self.orchestrations, "orchestrations")
        _check_each(ActivityWorkItemFilter, self.activities, "activities")
        _check_each(EntityWorkItemFilter, self.entities, "entities")


def derived(registry: Registry, versioning: VersioningOptions | None) -> WorkItemFilters:
    """Filters for all that is registered; orchestrations in the worker's version if it is strict.

    Activities in any: their version is none, whatever that of the orchestration.
    """
    versions: list[str] = []
    if versioning is not None and versioning.match_strategy is VersionMatchStrategy.STRICT:
        versions = [versioning.version] if versioning.version else []
    return WorkItemFilters(
        [OrchestrationWorkItemFilter(it, list(versions)) for it in registry.orchestrator_names()],
        [ActivityWorkItemFilter(it) for it in registry.activity_names()],
        [EntityWorkItemFilter(it) for it in registry.entity_names()],
    )


def to_message(filters: WorkItemFilters) -> messages.WorkItemFilters:
    """The filters as they travel."""
    from durabletask.protocol import messages

    return messages.WorkItemFilters(
        orchestrations=[
            messages.OrchestrationFilter(name=it.name, versions=list(it.versions))
            for it in filters.orchestrations
        ],
        activities=[
            messages.ActivityFilter(name=it.name, versions=list(it.versions))
            for it in filters.activities
        ],
        entities=[messages.EntityFilter(name=it.name) for it in filters.entities],
    )


def _check(name: str, versions: Any) -> None:
    text(name, "name")
    # A text is a list of its letters, none of which is a version.
    if isinstance(versions, str):
        raise wrong_type("versions", "a list of str", versions)
    for version in versions:
        text(version, "a version")


def _check_each(kind: type[Any], filters: Any, argument: str) -> None:
    for each in filters:
        instance_of(kind, each, f"each of {argument}")
