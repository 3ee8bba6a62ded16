"""Write changes through a connection, inside the transaction of the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from . import Change, Key, rows, statements
from .encoded_events import repeated_field

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from durabletask.sidecar.engine.entities.state import EntityTransition
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Transition

    from . import EntityChange

_R = TypeVar("_R")

# A place in a history that no event has.
_AFTER_EVERYTHING = 2**62


class Writer:
    """Writes through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def write(self, changes: Iterable[Change | EntityChange]) -> None:
        progress: list[rows.Columns] = []
        for change in changes:
            if isinstance(change, Change):
                self._write_instance(change)
                if change.instance is not None:
                    progress.append(_progress_columns(change.key, change.instance))
            else:
                self._write_entity(change)
        # With one statement: there is one row for each instance, and nothing above reads it.
        self._connection.executemany(statements.WRITE_PROGRESS, progress)

    def wipe(self, hub: str) -> None:
        for statement in statements.WIPE:
            self._connection.execute(statement, (hub,))

    def _write_instance(self, change: Change) -> None:
        key = change.key
        position = _history_position(change)
        for transition in change.transitions:
            if transition.removes:
                self._run_all(statements.REMOVE_INSTANCE, key)
                continue
            if transition.origin is not None:
                self._begin_execution(key, transition)
                position = 0
            if transition.parent is not None:
                columns = rows.parent_columns(transition.parent)
                self._connection.execute(statements.RELINK, (*columns, *key))
            if transition.events:
                events = repeated_field(transition.events)
                self._connection.execute(statements.WRITE_HISTORY, (*key, position, events))
                position += len(transition.events)
            self._write_rows(key, transition)

    def _begin_execution(self, key: Key, transition: Transition) -> None:
        assert transition.origin is not None
        self._run_all(statements.BEGIN_EXECUTION, key)
        kept = set(transition.inbox_keep)
        waiting = self._connection.execute(statements.LOAD_INBOX, key).fetchall()
        self._remove(
            statements.REMOVE_INBOX, key, (row[0] for row in waiting if row[0] not in kept)
        )
        columns = (*key, *rows.origin_columns(transition.origin))
        self._connection.execute(statements.WRITE_ORIGIN, columns)

    def _write_rows(self, key: Key, transition: Transition) -> None:
        self._remove(statements.REMOVE_INBOX, key, transition.inbox_remove)
        self._add(statements.WRITE_INBOX, key, transition.inbox_add, rows.inbox_columns)
        if _changes_outstanding(transition):
            self._write_outstanding(key, transition)

    def _write_outstanding(self, key: Key, transition: Transition) -> None:
        self._remove(statements.REMOVE_TASK, key, transition.tasks_remove)
        self._remove(statements.REMOVE_CHILD, key, transition.children_remove)
        self._remove(statements.REMOVE_CALL, key, transition.calls_remove)
        self._remove(statements.REMOVE_LOCK, key, transition.locks_remove)
        self._add(statements.WRITE_TASK, key, transition.tasks_add, rows.task_columns)
        self._add(statements.WRITE_CHILD, key, transition.children_add, rows.child_columns)
        self._add(statements.WRITE_CALL, key, transition.calls_add, rows.call_columns)
        self._add(statements.WRITE_LOCK, key, transition.locks_set, rows.lock_columns)

    def _write_entity(self, change: EntityChange) -> None:
        key = change.key
        for transition in change.transitions:
            if transition.removes:
                self._run_all(statements.REMOVE_ENTITY, key)
            else:
                self._write_messages(key, transition)
        if change.entity is not None:
            due_at = rows.micros(change.entity.due_at())
            columns = (*key, *rows.entity_columns(change.entity.progress), due_at)
            self._connection.execute(statements.WRITE_ENTITY, columns)

    def _write_messages(self, key: Key, transition: EntityTransition) -> None:
        self._remove(statements.REMOVE_MESSAGE, key, transition.messages_remove)
        added = transition.messages_add
        self._add(statements.WRITE_MESSAGE, key, added, rows.message_columns)

    def _run_all(self, all_statements: Iterable[str], key: Key) -> None:
        for statement in all_statements:
            self._connection.execute(statement, key)

    def _add(
        self, statement: str, key: Key, added: Iterable[_R], columns: Callable[[_R], rows.Columns]
    ) -> None:
        for row in added:
            self._connection.execute(statement, (*key, *columns(row)))

    def _remove(self, statement: str, key: Key, names: Iterable[Any]) -> None:
        for name in names:
            self._connection.execute(statement, (*key, name))


def _changes_outstanding(transition: Transition) -> bool:
    """Whether rows besides the inbox change; for most transitions they do not."""
    removes = transition.tasks_remove or transition.children_remove or transition.calls_remove
    adds = transition.tasks_add or transition.children_add or transition.calls_add
    return bool(removes or adds or transition.locks_remove or transition.locks_set)


def _progress_columns(key: Key, instance: Instance) -> rows.Columns:
    return (*key, *rows.progress_columns(instance.progress), rows.micros(instance.due_at()))


def _history_position(change: Change) -> int:
    """The place of the first event of the change in the history of the old execution."""
    if change.begins or change.instance is None:
        # What it adds to the old execution is deleted with it; here it must only not collide.
        return _AFTER_EVERYTHING
    added = sum(len(transition.events) for transition in change.transitions)
    return change.instance.progress.history_length - added
