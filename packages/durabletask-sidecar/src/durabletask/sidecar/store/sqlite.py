"""The store on one SQLite file: write-ahead log, one transaction a commit.

The encoded history of instances that are active is kept in memory as well, written
through, so that a turn costs a copy and not a query.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from durabletask.sidecar.engine.entities.queue import MessageQueue
from durabletask.sidecar.engine.entities.state import Entity
from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import CallRow, ChildRow, Instance

from . import (
    Change,
    Key,
    ReadyBatch,
    ReadyTurn,
    StoreError,
    UnreadableError,
    entity_rows,
    files,
    querying,
    rows,
    statements,
)
from .histories import Histories
from .locking import FileLock
from .queries import EntitySummary, InstanceSummary
from .writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from os import PathLike

    from durabletask.sidecar.engine.state import TaskRow

    from . import EntityChange
    from .queries import EndedQuery, EntityQuery, InstanceQuery

Synchronous = Literal["full", "normal"]

_HISTORY_BYTES_KEPT = 64 * 1024 * 1024


class SqliteStore:
    """Opens the file, or makes it. Raises StoreError when it cannot be used.

    With `synchronous="full"` a commit survives a power cut; with `"normal"` only the end
    of the process.
    """

    def __init__(
        self, path: str | PathLike[str], *, synchronous: Synchronous | str = "full"
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous is 'full' or 'normal', not {synchronous!r}")
        self._lock = FileLock(Path(path))
        try:
            self._connection = files.connect(Path(path), synchronous)
        except BaseException:
            self._lock.release()
            raise
        self._writer = Writer(self._connection)
        self._histories = Histories(_HISTORY_BYTES_KEPT)
        self._is_open = True

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
            messages = map(entity_rows.message_row, self._query(statements.LOAD_MESSAGES, key))
            return Entity(key.instance_id, entity_rows.progress(found[0]), MessageQueue(messages))

    def history(self, key: Key) -> bytes:
        kept = self._histories.get(key)
        if kept is None:
            stored = self._query(statements.LOAD_HISTORY, key)
            kept = bytearray(b"".join(events for (events,) in stored))
            self._histories.put(key, kept)
        return bytes(kept)

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        with self._transaction():
            for change in changes:
                self._writer.write(change)
        for change in changes:
            if isinstance(change, Change):
                self._histories.follow(change)

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

    def outstanding_tasks(self) -> Iterator[tuple[Key, TaskRow]]:
        for hub, instance_id, *columns in self._query(statements.OUTSTANDING_TASKS, ()):
            yield Key(hub, instance_id), rows.task_row(columns)

    def instances(
        self, hub: str, query: InstanceQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[InstanceSummary]:
        for instance_id, *columns in self._read(*querying.instances(hub, query, after)):
            with _whole(instance_id):
                origin = rows.origin(columns[: rows.ORIGIN_WIDTH])
                progress = rows.progress(columns[rows.ORIGIN_WIDTH :])
            yield InstanceSummary(instance_id, origin, progress)

    def ended(
        self, hub: str, query: EndedQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[tuple[datetime, str]]:
        for completed_at, instance_id in self._read(*querying.ended(hub, query, after)):
            with _whole(instance_id):
                ended_at = rows.known_moment(completed_at)
            yield ended_at, instance_id

    def entities(self, hub: str, query: EntityQuery, *, after: str = "") -> Iterator[EntitySummary]:
        for entity_id, *columns, backlog in self._read(*querying.entities(hub, query, after)):
            with _whole(entity_id):
                progress = entity_rows.progress(columns)
            yield EntitySummary(entity_id, progress, backlog)

    def wipe(self, hub: str) -> None:
        with self._transaction():
            self._writer.wipe(hub)
        self._histories.forget(hub)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._connection.close()
            self._lock.release()

    def _query(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        return list(self._read(statement, parameters))

    def _read(self, statement: str, parameters: Sequence[Any]) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, parameters)
        except files.FAILURES as error:
            raise UnreadableError(f"the store cannot be read: {files.reason(error)}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except files.FAILURES as error:
            self._roll_back()
            reason = files.reason(error)
            raise StoreError(f"the commit failed and nothing of it is stored: {reason}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


@contextmanager
def _whole(whose: str) -> Iterator[None]:
    """Say whose rows they are that no longer mean anything."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableError(
            f"what is stored of '{whose}' is damaged: {files.reason(error)}"
        ) from error


def _ready(
    hub: str, instance_id: str, name: str | None, version: str | None, _due_at: int
) -> ReadyTurn | ReadyBatch:
    if name is None:
        return ReadyBatch(hub, instance_id)
    return ReadyTurn(hub, instance_id, name, version)


_BEFORE_EVERYTHING = -(2**63)
