"""Make SQL of queries: the statement, and the values for its places."""

# ruff: noqa: S608 - statements are put together of constants; values are parameters always

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .rows import micros
from .statements import ENTITY_COLUMNS, ORIGIN_COLUMNS, PROGRESS_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from .queries import EndedQuery, EntityQuery, InstanceQuery

Sql = tuple[str, list[Any]]


class _Conditions:
    """Conditions that all must hold."""

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
            # Ids are compared by their bytes, so this much holds without LIKE and its escapes.
            self.add(f"{column} >= ? AND substr({column}, 1, ?) = ?", prefix, len(prefix), prefix)

    def behind(self, columns: str, after: tuple[datetime, str] | None) -> None:
        if after is not None:
            self.add(f"({columns}) > (?, ?)", micros(after[0]), after[1])

    def sql(self, select: str, order: str) -> Sql:
        return f"{select} WHERE {' AND '.join(self._texts)} ORDER BY {order}", self._values


def instances(hub: str, query: InstanceQuery, after: tuple[datetime, str] | None) -> Sql:
    conditions = _Conditions(hub, "origins")
    conditions.within("created_at", query.created_from, query.created_to)
    conditions.one_of("status", query.statuses)
    conditions.prefix("instance_id", query.prefix)
    conditions.behind("created_at, instance_id", after)
    columns = f"instance_id, {_of('origins', ORIGIN_COLUMNS)}, {_of('progress', PROGRESS_COLUMNS)}"
    select = f"SELECT {columns} FROM origins JOIN progress USING (hub, instance_id)"
    return conditions.sql(select, "created_at, instance_id")


def ended(hub: str, query: EndedQuery, after: tuple[datetime, str] | None) -> Sql:
    conditions = _Conditions(hub, "progress")
    conditions.add("completed_at IS NOT NULL")
    conditions.within("completed_at", query.completed_from, query.completed_to)
    conditions.one_of("status", query.statuses)
    conditions.behind("completed_at, instance_id", after)
    select = "SELECT completed_at, instance_id FROM progress"
    return conditions.sql(select, "completed_at, instance_id")


def entities(hub: str, query: EntityQuery, after: str) -> Sql:
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
