"""What a store can be asked for besides single instances, and the SQL of these queries.

Results come in pages, in an order that does not change: every page begins after a key, so
what is added or removed meanwhile neither repeats nor hides anything else. A `..._from` is
inclusive, a `..._to` exclusive.
"""

# ruff: noqa: S608 - statements are put together of constants; values are always parameters

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .rows import micros
from .statements import ENTITY_COLUMNS, ORIGIN_COLUMNS, PROGRESS_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import EntityProgress
    from durabletask.sidecar.engine.state import Origin, Progress


@dataclass(frozen=True, slots=True)
class InstanceQuery:
    """Which orchestrations to find; None or empty means all."""

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
        """Sorts instances by when they were created."""
        return (self.origin.created_at, self.instance_id)


@dataclass(frozen=True, slots=True)
class EndedQuery:
    """Which of the orchestrations that have ended to find."""

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
    """Which entities to find."""

    prefix: str = ""
    modified_from: datetime | None = None
    modified_to: datetime | None = None
    transient: bool = True
    """Whether to include those without a state."""

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
    """How many messages are in its queue."""


def _is_within(at: datetime, first: datetime | None, end: datetime | None) -> bool:
    return (first is None or at >= first) and (end is None or at < end)


Sql = tuple[str, list[Any]]
"""A statement, and the values for its places."""


class _Conditions:
    """The conditions of a WHERE clause, joined by AND."""

    def __init__(self, hub: str, table: str) -> None:
        self._texts = [f"{table}.hub = ?"]
        self._values: list[Any] = [hub]

    def add(self, text: str, *values: Any) -> None:
        self._texts.append(text)
        self._values += values

    def within(self, column: str, first: datetime | None, end: datetime | None) -> None:
        if first is not None:
            self.add(f"{column} >= ?", micros(first))
        if end is not None:
            self.add(f"{column} < ?", micros(end))

    def one_of(self, column: str, statuses: Collection[int]) -> None:
        if statuses:
            places = ", ".join("?" * len(statuses))
            self.add(f"{column} IN ({places})", *sorted(statuses))

    def prefix(self, column: str, prefix: str) -> None:
        if prefix:
            # Ids are compared by their bytes; LIKE would need escapes.
            self.add(f"{column} >= ? AND substr({column}, 1, ?) = ?", prefix, len(prefix), prefix)

    def behind(self, columns: str, after: tuple[datetime, str] | None) -> None:
        if after is not None:
            self.add(f"({columns}) > (?, ?)", micros(after[0]), after[1])

    def sql(self, select: str, order: str) -> Sql:
        return f"{select} WHERE {' AND '.join(self._texts)} ORDER BY {order}", self._values


def select_instances(hub: str, query: InstanceQuery, after: tuple[datetime, str] | None) -> Sql:
    conditions = _Conditions(hub, "origins")
    conditions.within("created_at", query.created_from, query.created_to)
    conditions.one_of("status", query.statuses)
    conditions.prefix("instance_id", query.prefix)
    conditions.behind("created_at, instance_id", after)
    columns = f"instance_id, {_of('origins', ORIGIN_COLUMNS)}, {_of('progress', PROGRESS_COLUMNS)}"
    select = f"SELECT {columns} FROM origins JOIN progress USING (hub, instance_id)"
    return conditions.sql(select, "created_at, instance_id")


def select_ended(hub: str, query: EndedQuery, after: tuple[datetime, str] | None) -> Sql:
    conditions = _Conditions(hub, "progress")
    conditions.add("completed_at IS NOT NULL")
    conditions.within("completed_at", query.completed_from, query.completed_to)
    conditions.one_of("status", query.statuses)
    conditions.behind("completed_at, instance_id", after)
    select = "SELECT completed_at, instance_id FROM progress"
    return conditions.sql(select, "completed_at, instance_id")


def select_entities(hub: str, query: EntityQuery, after: str) -> Sql:
    conditions = _Conditions(hub, "entities")
    conditions.within("modified_at", query.modified_from, query.modified_to)
    conditions.prefix("entity_id", query.prefix)
    conditions.add("entity_id > ?", after)
    if not query.transient:
        conditions.add("state IS NOT NULL")
    select = (
        f"SELECT entity_id, {ENTITY_COLUMNS}, "
        "(SELECT count(*) FROM entity_queue AS queue WHERE queue.hub = entities.hub"
        " AND queue.entity_id = entities.entity_id) FROM entities"
    )
    return conditions.sql(select, "entity_id")


def _of(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column.strip()}" for column in columns.split(","))
