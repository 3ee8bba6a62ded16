"""Write changes through a connection, inside the transaction of the caller.

The rows of one table are written by one call. What one transition of a commit adds and a later
one removes is never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import Change, Key, rows, statements
from .encoded_events import repeated_field

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from durabletask.sidecar.engine.entities.state import EntityTransition
    from durabletask.sidecar.engine.transition import Transition

    from . import EntityChange


class Writer:
    """Writes through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def write(self, changes: Iterable[Change | EntityChange]) -> None:
        batch = _Batch(self._connection)
        for change in changes:
            if isinstance(change, Change):
                batch.add_instance(change)
            else:
                batch.add_entity(change)
        batch.write()

    def wipe(self, hub: str) -> None:
        for statement in statements.WIPE:
            self._connection.execute(statement, (hub,))


class _Batch:
    """The rows of one commit that are to be removed and added."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._named: dict[str, _NamedRows] = {}
        """By the statement that adds them."""
        self._written: dict[str, list[rows.Columns]] = {}
        """Rows that are only added, or replaced, by their statement."""

    def add_instance(self, change: Change) -> None:
        key, instance = change.key, change.instance
        is_new = change.is_new
        events: list[bytes] = []
        for transition in change.transitions:
            if transition.removes:
                self._run_now(statements.REMOVE_INSTANCE, key)
                continue
            if transition.origin is not None:
                # Those of the execution before; in the store they are removed.
                events.clear()
                self._begin_execution(key, transition, is_new=is_new)
            self._add_transition(key, transition)
            events += transition.events
            is_new = False
        if instance is None:
            return
        progress = instance.progress
        if events:
            first = progress.history_length - len(events)
            self._write_later(statements.WRITE_HISTORY, (*key, first, repeated_field(events)))
        columns = (*key, *rows.progress_columns(progress), rows.micros(instance.due_at()))
        self._write_later(statements.WRITE_PROGRESS, columns)

    def add_entity(self, change: EntityChange) -> None:
        key, entity = change.key, change.entity
        for transition in change.transitions:
            if transition.removes:
                self._run_now(statements.REMOVE_ENTITY, key)
            else:
                self._add_messages(key, transition)
        if entity is not None:
            columns = (*key, *rows.entity_columns(entity.progress), rows.micros(entity.due_at()))
            self._write_later(statements.WRITE_ENTITY, columns)

    def write(self) -> None:
        """Write all that was added since the last call."""
        for table in self._named.values():
            table.write(self._connection)
        for statement, columns in self._written.items():
            self._connection.executemany(statement, columns)
        self._named.clear()
        self._written.clear()

    def _begin_execution(self, key: Key, transition: Transition, *, is_new: bool) -> None:
        assert transition.origin is not None
        if not is_new:
            self._end_execution(key, transition)
        columns = (*key, *rows.origin_columns(transition.origin))
        self._write_later(statements.WRITE_ORIGIN, columns)

    def _add_transition(self, key: Key, transition: Transition) -> None:
        if transition.parent is not None:
            self.write()
            columns = rows.parent_columns(transition.parent)
            self._connection.execute(statements.RELINK, (*columns, *key))
        if transition.inbox_remove or transition.inbox_add:
            inbox = self._rows(statements.REMOVE_INBOX, statements.WRITE_INBOX)
            inbox.remove(key, transition.inbox_remove)
            inbox.add(key, transition.inbox_add, rows.inbox_columns)
        if transition.tasks_remove or transition.tasks_add:
            tasks = self._rows(statements.REMOVE_TASK, statements.WRITE_TASK)
            tasks.remove(key, transition.tasks_remove)
            tasks.add(key, transition.tasks_add, rows.task_columns)
        if transition.children_remove or transition.children_add:
            children = self._rows(statements.REMOVE_CHILD, statements.WRITE_CHILD)
            children.remove(key, transition.children_remove)
            children.add(key, transition.children_add, rows.child_columns)
        self._add_calls_and_locks(key, transition)

    def _add_calls_and_locks(self, key: Key, transition: Transition) -> None:
        if transition.calls_remove or transition.calls_add:
            calls = self._rows(statements.REMOVE_CALL, statements.WRITE_CALL)
            calls.remove(key, transition.calls_remove)
            calls.add(key, transition.calls_add, rows.call_columns)
        if transition.locks_remove or transition.locks_set:
            locks = self._rows(statements.REMOVE_LOCK, statements.WRITE_LOCK)
            # A lock that is granted now takes the place of the one that was requested.
            replaced = (lock.critical_section_id for lock in transition.locks_set)
            locks.remove(key, (*transition.locks_remove, *replaced))
            locks.add(key, transition.locks_set, rows.lock_columns)

    def _add_messages(self, key: Key, transition: EntityTransition) -> None:
        messages = self._rows(statements.REMOVE_MESSAGE, statements.WRITE_MESSAGE)
        messages.remove(key, transition.messages_remove)
        messages.add(key, transition.messages_add, rows.message_columns)

    def _end_execution(self, key: Key, transition: Transition) -> None:
        """Remove what the store, or this commit, has of the execution before."""
        self._run_now(statements.BEGIN_EXECUTION, key)
        kept = set(transition.inbox_keep)
        waiting = self._connection.execute(statements.LOAD_INBOX, key).fetchall()
        inbox = self._rows(statements.REMOVE_INBOX, statements.WRITE_INBOX)
        inbox.remove(key, [row[0] for row in waiting if row[0] not in kept])

    def _run_now(self, all_statements: Iterable[str], key: Key) -> None:
        """Run the statements after all that was added before."""
        self.write()
        for statement in all_statements:
            self._connection.execute(statement, key)

    def _write_later(self, statement: str, columns: rows.Columns) -> None:
        self._written.setdefault(statement, []).append(columns)

    def _rows(self, remove: str, add: str) -> _NamedRows:
        table = self._named.get(add)
        if table is None:
            table = self._named[add] = _NamedRows(remove, add)
        return table


class _NamedRows:
    """The rows of one table; each has a name that is unique within its instance or entity."""

    __slots__ = ("_add", "_added", "_remove", "_removed")

    def __init__(self, remove: str, add: str) -> None:
        self._remove = remove
        self._add = add
        self._removed: list[rows.Columns] = []
        self._added: dict[rows.Columns, rows.Columns] = {}

    def remove(self, key: Key, names: Iterable[Any]) -> None:
        for name in names:
            place = (*key, name)
            if self._added.pop(place, None) is None:
                self._removed.append(place)

    def add(self, key: Key, added: Iterable[Any], columns: Callable[[Any], rows.Columns]) -> None:
        """Add rows whose first column is their name."""
        for row in added:
            values = columns(row)
            self._added[*key, values[0]] = (*key, *values)

    def write(self, connection: sqlite3.Connection) -> None:
        if self._removed:
            connection.executemany(self._remove, self._removed)
        if self._added:
            connection.executemany(self._add, self._added.values())
