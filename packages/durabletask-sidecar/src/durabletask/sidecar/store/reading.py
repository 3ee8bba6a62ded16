"""Read from a SQLite file, through somebody else's connection.

Knows nothing about how the file is opened, and changes nothing in it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from durabletask.sidecar.engine.entities.queue import MessageQueue
from durabletask.sidecar.engine.entities.state import Entity
from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import CallRow, ChildRow, Instance

from . import Key, ReadyBatch, ReadyTurn, StoreError, entity_rows, querying, rows, statements
from .queries import EntitySummary, InstanceSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.state import TaskRow

    from .queries import EndedQuery, EntityQuery, InstanceQuery


class SqliteReader:
    """What is committed, as the connection sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self, key: Key) -> Instance | None:
        origins = self._query(statements.LOAD_ORIGIN, key)
        if not origins:
            return None
        (progress,) = self._query(statements.LOAD_PROGRESS, key)
        tasks = map(rows.task_row, self._query(statements.LOAD_TASKS, key))
        children = (ChildRow(*columns) for columns in self._query(statements.LOAD_CHILDREN, key))
        calls = (CallRow(*columns) for columns in self._query(statements.LOAD_CALLS, key))
        locks = map(rows.lock_row, self._query(statements.LOAD_LOCKS, key))
        return Instance(
            key.instance_id,
            rows.origin(origins[0]),
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
        messages = map(entity_rows.message_row, self._query(statements.LOAD_MESSAGES, key))
        return Entity(key.instance_id, entity_rows.progress(found[0]), MessageQueue(messages))

    def history(self, key: Key) -> bytes:
        stored = self._query(statements.LOAD_HISTORY, key)
        return b"".join(events for (events,) in stored)

    def live_children(self, key: Key) -> list[str]:
        found = self._query(statements.LIVE_CHILDREN, key)
        return [instance_id for (instance_id,) in found]

    def children(self, key: Key) -> list[str]:
        return [instance_id for (instance_id,) in self._query(statements.CHILDREN, key)]

    def due(self, after: datetime | None, until: datetime) -> Iterable[ReadyTurn | ReadyBatch]:
        start = _BEFORE_EVERYTHING if after is None else rows.micros(after)
        found = self._query(statements.DUE, 2 * (start, rows.micros(until)))
        return [_ready(*columns) for columns in found]

    def next_due(self, after: datetime) -> datetime | None:
        ((found,),) = self._query(statements.NEXT_DUE, 2 * (rows.micros(after),))
        return rows.moment(found)

    def alive(self) -> Mapping[str, int]:
        return dict(self._query(statements.ALIVE, ()))

    def outstanding_tasks(self) -> Iterator[tuple[Key, TaskRow]]:
        for hub, instance_id, *columns in self._query(statements.OUTSTANDING_TASKS, ()):
            yield Key(hub, instance_id), rows.task_row(columns)

    def hubs(self) -> list[str]:
        return [hub for (hub,) in self._query(statements.HUBS, ())]

    def instances(
        self, hub: str, query: InstanceQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[InstanceSummary]:
        for instance_id, *columns in self._read(*querying.instances(hub, query, after)):
            origin = rows.origin(columns[: rows.ORIGIN_WIDTH])
            progress = rows.progress(columns[rows.ORIGIN_WIDTH :])
            yield InstanceSummary(instance_id, origin, progress)

    def ended(
        self, hub: str, query: EndedQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[tuple[datetime, str]]:
        for completed_at, instance_id in self._read(*querying.ended(hub, query, after)):
            yield rows.known_moment(completed_at), instance_id

    def entities(self, hub: str, query: EntityQuery, *, after: str = "") -> Iterator[EntitySummary]:
        for entity_id, *columns, backlog in self._read(*querying.entities(hub, query, after)):
            yield EntitySummary(entity_id, entity_rows.progress(columns), backlog)

    def _query(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        return list(self._read(statement, parameters))

    def _read(self, statement: str, parameters: Sequence[Any]) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error


def _ready(
    hub: str, instance_id: str, name: str | None, version: str | None, _due_at: int
) -> ReadyTurn | ReadyBatch:
    if name is None:
        return ReadyBatch(hub, instance_id)
    return ReadyTurn(hub, instance_id, name, version)


_BEFORE_EVERYTHING = -(2**63)
