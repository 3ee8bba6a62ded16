"""The store on one SQLite file: write-ahead log, one transaction a commit.

The encoded history of instances that are active is kept in memory as well, written
through, so that a turn costs a copy and not a query.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import ChildRow, Instance

from . import Change, Key, ReadyTurn, StoreError, files, rows, statements
from .locking import FileLock
from .splicing import spliced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from os import PathLike

    from durabletask.sidecar.engine.state import TaskRow
    from durabletask.sidecar.engine.transition import Transition

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
        self._histories = _Histories(_HISTORY_BYTES_KEPT)
        self._is_open = True

    def load(self, key: Key) -> Instance | None:
        origins = self._query(statements.LOAD_ORIGIN, key)
        if not origins:
            return None
        (progress,) = self._query(statements.LOAD_PROGRESS, key)
        tasks = map(rows.task_row, self._query(statements.LOAD_TASKS, key))
        children = (ChildRow(*columns) for columns in self._query(statements.LOAD_CHILDREN, key))
        return Instance(
            key.instance_id,
            rows.origin(origins[0]),
            rows.progress(progress),
            Inbox(map(rows.inbox_row, self._query(statements.LOAD_INBOX, key))),
            {task.number: task for task in tasks},
            {child.task_id: child for child in children},
        )

    def history(self, key: Key) -> bytes:
        kept = self._histories.get(key)
        if kept is None:
            stored = self._query(statements.LOAD_HISTORY, key)
            kept = bytearray(b"".join(events for (events,) in stored))
            self._histories.put(key, kept)
        return bytes(kept)

    def commit(self, changes: Sequence[Change]) -> None:
        try:
            with self._transaction():
                for change in changes:
                    self._write(change)
        except sqlite3.Error as error:
            raise StoreError(f"the commit failed and nothing of it is stored: {error}") from error
        for change in changes:
            self._histories.follow(change)

    def live_children(self, key: Key) -> list[str]:
        found = self._query(statements.LIVE_CHILDREN, key)
        return [instance_id for (instance_id,) in found]

    def due(self, after: datetime | None, until: datetime) -> Iterable[ReadyTurn]:
        start = _BEFORE_EVERYTHING if after is None else rows.micros(after)
        found = self._query(statements.DUE, (start, rows.micros(until)))
        return [ReadyTurn(*columns) for columns in found]

    def next_due(self, after: datetime) -> datetime | None:
        ((found,),) = self._query(statements.NEXT_DUE, (rows.micros(after),))
        return rows.moment(found)

    def outstanding_tasks(self) -> Iterator[tuple[Key, TaskRow]]:
        for hub, instance_id, *columns in self._query(statements.OUTSTANDING_TASKS, ()):
            yield Key(hub, instance_id), rows.task_row(columns)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._connection.close()
            self._lock.release()

    def _query(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _write(self, change: Change) -> None:
        key = change.key
        instance = change.instance
        position = _history_position(change)
        for transition in change.transitions:
            if transition.origin is not None:
                self._begin_execution(key, transition)
                position = 0
            if transition.events:
                events = spliced(transition.events)
                self._connection.execute(statements.WRITE_HISTORY, (*key, position, events))
                position += len(transition.events)
            self._write_rows(key, transition)
        due_at = rows.micros(instance.due_at())
        columns = (*key, *rows.progress_columns(instance.progress), due_at)
        self._connection.execute(statements.WRITE_PROGRESS, columns)

    def _begin_execution(self, key: Key, transition: Transition) -> None:
        assert transition.origin is not None
        for statement in statements.BEGIN_EXECUTION:
            self._connection.execute(statement, key)
        kept = set(transition.inbox_keep)
        waiting = self._connection.execute(statements.LOAD_INBOX, key).fetchall()
        self._remove(
            statements.REMOVE_INBOX, key, (row[0] for row in waiting if row[0] not in kept)
        )
        columns = (*key, *rows.origin_columns(transition.origin))
        self._connection.execute(statements.WRITE_ORIGIN, columns)

    def _write_rows(self, key: Key, transition: Transition) -> None:
        self._remove(statements.REMOVE_INBOX, key, transition.inbox_remove)
        self._remove(statements.REMOVE_TASK, key, transition.tasks_remove)
        self._remove(statements.REMOVE_CHILD, key, transition.children_remove)
        many = self._connection.executemany
        if transition.inbox_add:
            inbox = ((*key, *rows.inbox_columns(row)) for row in transition.inbox_add)
            many(statements.WRITE_INBOX, inbox)
        if transition.tasks_add:
            tasks = ((*key, *rows.task_columns(row)) for row in transition.tasks_add)
            many(statements.WRITE_TASK, tasks)
        if transition.children_add:
            children = ((*key, row.task_id, row.child_id) for row in transition.children_add)
            many(statements.WRITE_CHILD, children)

    def _remove(self, statement: str, key: Key, numbers: Iterable[int]) -> None:
        self._connection.executemany(statement, ((*key, number) for number in numbers))


def _history_position(change: Change) -> int:
    """Where the first event of the change stands in the history of the old execution."""
    begins = any(transition.origin is not None for transition in change.transitions)
    if begins:
        # What it adds to the old execution goes with it, and must only not collide.
        return _BEHIND_EVERYTHING
    added = sum(len(transition.events) for transition in change.transitions)
    return change.instance.progress.history_length - added


_BEHIND_EVERYTHING = 2**62
_BEFORE_EVERYTHING = -(2**63)


class _Histories:
    """Encoded histories of the instances used last, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, bytearray] = OrderedDict()

    def get(self, key: Key) -> bytearray | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Key, history: bytearray) -> None:
        self._kept[key] = history
        self._bytes += len(history)
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)

    def follow(self, change: Change) -> None:
        """Take over a commit, for a history that is kept; drop it when the instance ended."""
        history = self._kept.pop(change.key, None)
        if history is None:
            return
        self._bytes -= len(history)
        if not change.instance.is_live:
            return
        for transition in change.transitions:
            if transition.origin is not None:
                history = bytearray()
            history += spliced(transition.events)
        self.put(change.key, history)
