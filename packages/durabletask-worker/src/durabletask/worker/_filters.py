"""Filters: which work a worker asks the sidecar to send."""

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


# How the protocol writes that an orchestration was started without a version.
_NO_VERSION = ""


class FilterSource(enum.Enum):
    """Where filters come from that the program does not give itself."""

    REGISTRY = enum.auto()
    """What is registered when the worker starts."""


@dataclass(frozen=True)
class OrchestrationWorkItemFilter:
    """Orchestrations of one name, in these versions; an empty list stands for all versions.

    Versions are compared as text. "" stands for orchestrations that were started without one.
    """

    name: str
    versions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check(self.name, self.versions)


@dataclass(frozen=True)
class ActivityWorkItemFilter:
    """Activities of one name, in these versions; an empty list stands for all versions.

    Orchestrators of this SDK call activities without a version: a filter with versions
    matches only activities that orchestrators of other SDKs call.
    """

    name: str
    versions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check(self.name, self.versions)


@dataclass(frozen=True)
class EntityWorkItemFilter:
    """Entities of one name; case does not matter, and `name` holds it in lower case.

    Raises ValueError if no entity can have that name.
    """

    name: str

    def __post_init__(self) -> None:
        EntityInstanceId.validate_entity_name(self.name)
        object.__setattr__(self, "name", self.name.lower())


@dataclass(frozen=True)
class WorkItemFilters:
    """Everything a worker asks for. It is sent no work of a kind that has no filter.

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


def filters_from_registry(
    registry: Registry, versioning: VersioningOptions | None
) -> WorkItemFilters:
    """Filters for everything registered; if versions match strictly, for the worker's version.

    A worker without a version asks for orchestrations without one. What does not match is not
    asked for, whatever the failure strategy would do with it. Activities are asked for in any
    version: they have none, even if their orchestration has.
    """
    versions: list[str] = []
    if versioning is not None and versioning.match_strategy is VersionMatchStrategy.STRICT:
        versions = [versioning.version or _NO_VERSION]
    return WorkItemFilters(
        [OrchestrationWorkItemFilter(it, list(versions)) for it in registry.orchestrator_names()],
        [ActivityWorkItemFilter(it) for it in registry.activity_names()],
        [EntityWorkItemFilter(it) for it in registry.entity_names()],
    )


def to_message(filters: WorkItemFilters) -> messages.WorkItemFilters:
    """The filters as a message of the protocol."""
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
    # A str would pass as a list of its characters, none of which is a version.
    if isinstance(versions, str):
        raise wrong_type("versions", "a list of str", versions)
    for version in versions:
        text(version, "a version")


def _check_each(kind: type[Any], filters: Any, argument: str) -> None:
    for each in filters:
        instance_of(kind, each, f"each of {argument}")
