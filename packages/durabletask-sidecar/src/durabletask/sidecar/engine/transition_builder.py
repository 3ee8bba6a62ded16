"""Build a transition step by step: each rule adds to it what it decides.

Numbers rows and encodes events, so that no rule does either by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec

from . import pending
from .entities.commands import ReleaseLock
from .inbox import InboxRow, RowKind
from .state import CallRow, ChildRow, Instance, LockRow, TaskRow
from .transition import FollowUp, Transition

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from durabletask.protocol import messages

    from .commands import Command
    from .state import Origin, Progress


class TransitionBuilder:
    """What one command changes of one instance, so far."""

    def __init__(self, instance: Instance, now: datetime) -> None:
        self.instance = instance
        self.now = now
        self._rows_made = instance.progress.rows_made
        self._events: list[bytes] = []
        self._inbox_add: list[InboxRow] = []
        self._inbox_remove: dict[int, None] = {}
        self._pending_names: set[str] = set()
        self._tasks_add: dict[int, TaskRow] = {}
        self._tasks_remove: list[int] = []
        self._children_add: dict[int, ChildRow] = {}
        self._children_remove: list[int] = []
        self._calls_add: dict[str, CallRow] = {}
        self._calls_remove: list[str] = []
        self._locks_set: dict[str, LockRow] = {}
        self._locks_remove: dict[str, None] = {}
        self._follow_ups: list[FollowUp] = []
        self._progress: dict[str, Any] = {}
        self.router: messages.TaskRouter | None = None
        """Goes with what is recorded: which of Dapr's apps calls which one."""

    def set_progress(self, **progress: Any) -> None:
        """Change these fields of the progress, however the command ends."""
        self._progress |= progress

    def record(self, event: messages.HistoryEvent) -> None:
        """Append an event to history."""
        if self.router is not None:
            event.router = self.router
        self._events.append(codec.encode(event))

    def record_encoded(self, events: Iterable[bytes]) -> None:
        self._events.extend(events)

    def enqueue(
        self,
        kind: RowKind,
        event: messages.HistoryEvent | bytes,
        *,
        visible_at: datetime | None = None,
        answers: str | None = None,
    ) -> None:
        """Put an event into the inbox; without a time it is visible at once."""
        visible_at = self.now if visible_at is None else max(visible_at, self.now)
        raw = event if isinstance(event, bytes) else codec.encode(event)
        row = InboxRow(self._next_row(), kind, visible_at, raw, answers)
        self._inbox_add.append(row)
        if answers is not None:
            self._pending_names.add(answers)

    def wake_up(self) -> None:
        """Make a turn due though no event waits."""
        self._inbox_add.append(InboxRow(self._next_row(), RowKind.WAKE_UP, self.now, b""))

    def consume(self, numbers: Iterable[int]) -> None:
        """Take rows out of the inbox."""
        self._inbox_remove.update(dict.fromkeys(numbers))

    def clear_inbox(self) -> None:
        """Drop all rows, from before and from this command: no turn will read them."""
        self._inbox_add.clear()
        self.consume(row.number for row in self.instance.inbox)

    def _is_pending(self, name: str) -> bool:
        """Whether this command has asked for it, or its answer was not read yet."""
        if name in self._pending_names:
            return True
        number = self.instance.inbox.answer_to(name)
        return number is not None and number not in self._inbox_remove

    def has_timer(self, timer_id: int) -> bool:
        return self._is_pending(pending.timer(timer_id))

    def has_task(self, task_id: int) -> bool:
        """Whether a task of this id is pending, or its outcome was not read yet."""
        return task_id in self.instance.task_ids or self._is_pending(pending.task(task_id))

    def has_child(self, task_id: int) -> bool:
        return task_id in self.instance.children or self._is_pending(pending.child(task_id))

    def has_call(self, request_id: str) -> bool:
        return request_id in self.instance.calls or self._is_pending(pending.call(request_id))

    def has_lock(self, section: str) -> bool:
        """Whether the lock was requested or granted, and is not released yet."""
        if section in self._locks_set:
            return True
        return section in self.instance.locks and section not in self._locks_remove

    def add_task(
        self, task_id: int, name: str, version: str | None, request: bytes, call_id: str
    ) -> None:
        number = self._next_row()
        execution_id = self.instance.origin.execution_id
        self._pending_names.add(pending.task(task_id))
        self._tasks_add[number] = TaskRow(
            number, task_id, execution_id, name, version, request, call_id
        )

    def remove_task(self, number: int) -> None:
        self._tasks_remove.append(number)

    def clear_tasks(self) -> None:
        self._tasks_add.clear()
        self._tasks_remove = list(self.instance.tasks)

    def add_child(self, task_id: int, child_id: str) -> None:
        self._pending_names.add(pending.child(task_id))
        self._children_add[task_id] = ChildRow(task_id, child_id)

    def remove_child(self, task_id: int) -> None:
        self._children_remove.append(task_id)

    def clear_children(self) -> None:
        self._children_add.clear()
        self._children_remove = list(self.instance.children)

    def add_call(self, request_id: str, entity_id: str) -> None:
        self._pending_names.add(pending.call(request_id))
        self._calls_add[request_id] = CallRow(request_id, entity_id)

    def remove_call(self, request_id: str) -> None:
        self._calls_remove.append(request_id)

    def clear_calls(self) -> None:
        self._calls_add.clear()
        self._calls_remove = list(self.instance.calls)

    def set_lock(self, lock: LockRow) -> None:
        self._locks_set[lock.critical_section_id] = lock

    def release_lock(self, section: str) -> None:
        """Release all entities of the critical section.

        The first unlock releases the whole section: workers send one unlock per entity, but
        take the first one in history for all of them, and do not send the others after it.
        """
        if not self.has_lock(section):
            return
        lock = self._locks_set.pop(section, None) or self.instance.locks[section]
        if section in self.instance.locks:
            self._locks_remove[section] = None
        self._follow_ups.extend(lock_releases(self.instance.instance_id, lock))

    def release_all_locks(self) -> None:
        """Release every entity that the execution has locked or waits to lock."""
        for section in [*self.instance.locks, *self._locks_set]:
            self.release_lock(section)

    def send(self, instance_id: str, command: Command) -> None:
        """Let another instance or entity carry out a command in the same commit."""
        self._follow_ups.append(FollowUp(instance_id, command))

    def build(self, **progress: Any) -> Transition:
        """The transition, with these fields of the progress changed too."""
        return Transition(
            progress=self._progress_with(progress),
            events=tuple(self._events),
            inbox_add=tuple(self._inbox_add),
            inbox_remove=tuple(self._inbox_remove),
            tasks_add=tuple(self._tasks_add.values()),
            tasks_remove=tuple(self._tasks_remove),
            children_add=tuple(self._children_add.values()),
            children_remove=tuple(self._children_remove),
            calls_add=tuple(self._calls_add.values()),
            calls_remove=tuple(self._calls_remove),
            locks_set=tuple(self._locks_set.values()),
            locks_remove=tuple(self._locks_remove),
            follow_ups=tuple(self._follow_ups),
        )

    def build_next_execution(self, origin: Origin, start: bytes, **progress: Any) -> Transition:
        """The transition to a new execution: only events from outside are kept."""
        self.release_all_locks()
        kept = [row for row in self._unread() if row.kind.outlives_its_execution]
        row = InboxRow(self._next_row(), RowKind.START, self.now, start)
        carried = [row for row in self._inbox_add if row.kind is RowKind.CARRIED]
        # Events that were carried before and not read yet come after those carried now.
        carried += [
            row._replace(number=self._next_row(), visible_at=self.now)
            for row in kept
            if row.kind is RowKind.CARRIED
        ]
        return Transition(
            origin=origin,
            progress=self._progress_with(progress)._replace(history_length=0, history_bytes=0),
            inbox_keep=tuple(row.number for row in kept if row.kind is not RowKind.CARRIED),
            inbox_add=(row, *carried),
            follow_ups=tuple(self._follow_ups),
        )

    def _unread(self) -> Iterable[InboxRow]:
        return (row for row in self.instance.inbox if row.number not in self._inbox_remove)

    def _progress_with(self, progress: dict[str, Any]) -> Progress:
        old = self.instance.progress
        changed: dict[str, Any] = {"updated_at": self.now, "rows_made": self._rows_made}
        if self._events:
            changed["history_length"] = old.history_length + len(self._events)
            changed["history_bytes"] = old.history_bytes + sum(map(_stored_size, self._events))
        changed.update(self._progress)
        changed.update(progress)
        return old._replace(**changed)

    def _next_row(self) -> int:
        self._rows_made += 1
        return self._rows_made


def _stored_size(event: bytes) -> int:
    """Bytes of an event in a history, where a tag and its length stand before it."""
    size = len(event)
    return size + 2 if size < 0x80 else size + 1 + (size.bit_length() + 6) // 7


def lock_releases(holder_id: str, lock: LockRow) -> Iterable[FollowUp]:
    """The commands that release the entities of a critical section."""
    for entity_id in lock.lock_set:
        yield FollowUp(entity_id, ReleaseLock(holder_id, lock.critical_section_id))
