"""What a store can be asked for besides single instances: pages, in an order that stays.

Every page begins behind a key, so that what is added or removed meanwhile neither repeats
nor hides anything else. Times from are inclusive, times to exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import EntityProgress
    from durabletask.sidecar.engine.state import Origin, Progress


@dataclass(frozen=True, slots=True)
class InstanceQuery:
    """Which orchestrations are looked for; what is None or empty holds for all."""

    statuses: frozenset[int] = frozenset()
    created_from: datetime | None = None
    created_to: datetime | None = None
    prefix: str = ""

    def accepts(self, instance: InstanceSummary) -> bool:
        return (
            (not self.statuses or instance.progress.status in self.statuses)
            and _is_within(instance.origin.created_at, self.created_from, self.created_to)
            and instance.instance_id.startswith(self.prefix)
        )


@dataclass(frozen=True, slots=True)
class InstanceSummary:
    """An orchestration without its rows."""

    instance_id: str
    origin: Origin
    progress: Progress

    @property
    def key(self) -> tuple[datetime, str]:
        """Its place in the order of creation."""
        return (self.origin.created_at, self.instance_id)


@dataclass(frozen=True, slots=True)
class EndedQuery:
    """Which orchestrations that have ended are looked for."""

    statuses: frozenset[int] = frozenset()
    completed_from: datetime | None = None
    completed_to: datetime | None = None

    def accepts(self, progress: Progress) -> bool:
        completed_at = progress.completed_at
        return (
            completed_at is not None
            and (not self.statuses or progress.status in self.statuses)
            and _is_within(completed_at, self.completed_from, self.completed_to)
        )


@dataclass(frozen=True, slots=True)
class EntityQuery:
    """Which entities are looked for."""

    prefix: str = ""
    modified_from: datetime | None = None
    modified_to: datetime | None = None
    transient: bool = True
    """Those without a state too."""

    def accepts(self, entity: EntitySummary) -> bool:
        return (
            (self.transient or entity.progress.state is not None)
            and _is_within(entity.progress.modified_at, self.modified_from, self.modified_to)
            and entity.entity_id.startswith(self.prefix)
        )


@dataclass(frozen=True, slots=True)
class EntitySummary:
    """An entity without its messages."""

    entity_id: str
    progress: EntityProgress
    backlog: int
    """How many messages wait for it."""


def _is_within(at: datetime, first: datetime | None, end: datetime | None) -> bool:
    return (first is None or at >= first) and (end is None or at < end)
