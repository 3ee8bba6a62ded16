"""Read instances and entities through a connection to a SQLite database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from durabletask.sidecar.engine.entities.queue import MessageQueue
from durabletask.sidecar.engine.entities.state import Entity
from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import CallRow, ChildRow, Instance, ScheduledTask

from . import Due, Key, UnreadableError, files, queries, rows, statements
from .queries import EntitySummary, InstanceSummary

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .queries import EndedQuery, EntityQuery, InstanceQuery


class SqliteReader:
    """Reads what is committed; changes nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self, key: Key) -> Instance | None:
        origins = self._query(statements.LOAD_ORIGIN, key)
        if not origins:
            return None
        with _whole(key.instance_id):
            return self._instance(key, origins[0])

    def _instance(self, key: Key, origin: Sequence[Any]) -> Instance:
        (progress,) = self._query(statements.LOAD_PROGRESS, key)
        tasks = map(rows.task_row, self._query(statements.LOAD_TASKS, key))
        children = (ChildRow(*columns) for columns in self._query(statements.LOAD_CHILDREN, key))
        calls = (CallRow(*columns) for columns in self._query(statements.LOAD_CALLS, key))
        locks = map(rows.lock_row, self._query(statements.LOAD_LOCKS, key))
        return Instance(
            key.instance_id,
            rows.origin(origin),
            rows.progress(progress),
            Inbox(map(rows.inbox_row, self._query(statements.LOAD_INBOX, key))),
            {task.number: task for task in tasks},
            {child.task_id: child for child in children},
            {call.request_id: call for call in calls},
            {lock.critical_section_id: lock for lock in locks},
        )

    def load_entity(self, key: Key) -> Entity | None:
        found = self._query(statements.LOAD_ENTITY, key)
        if not found:
            return None
        with _whole(key.instance_id):
            messages = map(rows.message_row, self._query(statements.LOAD_MESSAGES, key))
            return Entity(key.instance_id, rows.entity_progress(found[0]), MessageQueue(messages))

    def history(self, key: Key) -> bytes:
        stored = self._query(statements.LOAD_HISTORY, key)
        return b"".join(events for (events,) in stored)

    def live_children(self, key: Key) -> list[str]:
        found = self._query(statements.LIVE_CHILDREN, key)
        return [instance_id for (instance_id,) in found]

    def children(self, key: Key) -> list[str]:
        return [instance_id for (instance_id,) in self._query(statements.CHILDREN, key)]

    def due(self, after: datetime | None, until: datetime) -> Iterable[Due]:
        start = _BEFORE_EVERYTHING if after is None else rows.micros(after)
        found = self._query(statements.DUE, 2 * (start, rows.micros(until)))
        return [Due(Key(hub, id), name, version) for hub, id, name, version, _ in found]

    def next_due(self, after: datetime) -> datetime | None:
        ((found,),) = self._query(statements.NEXT_DUE, 2 * (rows.micros(after),))
        return rows.moment(found)

    def live_counts(self) -> Mapping[str, int]:
        return dict(self._query(statements.LIVE_COUNTS, ()))

    def outstanding_tasks(self) -> Iterator[tuple[Key, ScheduledTask]]:
        for hub, instance_id, *columns in self._query(statements.OUTSTANDING_TASKS, ()):
            yield Key(hub, instance_id), ScheduledTask(*columns)

    def hubs(self) -> list[str]:
        return [hub for (hub,) in self._query(statements.HUBS, ())]

    def instances(
        self, hub: str, query: InstanceQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[InstanceSummary]:
        for instance_id, *columns in self._read(*queries.select_instances(hub, query, after)):
            with _whole(instance_id):
                origin = rows.origin(columns[: rows.ORIGIN_WIDTH])
                progress = rows.progress(columns[rows.ORIGIN_WIDTH :])
            yield InstanceSummary(instance_id, origin, progress)

    def ended(
        self, hub: str, query: EndedQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[tuple[datetime, str]]:
        for completed_at, instance_id in self._read(*queries.select_ended(hub, query, after)):
            with _whole(instance_id):
                ended_at = rows.known_moment(completed_at)
            yield ended_at, instance_id

    def entities(self, hub: str, query: EntityQuery, *, after: str = "") -> Iterator[EntitySummary]:
        for entity_id, *columns, backlog in self._read(*queries.select_entities(hub, query, after)):
            with _whole(entity_id):
                progress = rows.entity_progress(columns)
            yield EntitySummary(entity_id, progress, backlog)

    def _query(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        return list(self._read(statement, parameters))

    def _read(self, statement: str, parameters: Sequence[Any]) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, parameters)
        except files.FAILURES as error:
            raise UnreadableError(f"the store cannot be read: {files.reason(error)}") from error


@contextmanager
def _whole(whose: str) -> Iterator[None]:
    """Raise UnreadableError when the rows of this instance or entity make no sense."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableError(
            f"the stored data of '{whose}' is damaged: {files.reason(error)}"
        ) from error


_BEFORE_EVERYTHING = -(2**63)
