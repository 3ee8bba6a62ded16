"""Check that an instance's state and rows agree with its history, and with other instances.

While an instance is being rewound, its history still ends with the failure, and what was
pending in it has no rows: it is asked for again when a worker has returned the new history.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine import pending
from durabletask.sidecar.engine.inbox import RowKind

from . import Finding
from .histories import pending_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from durabletask.protocol.messages import HistoryEvent
    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.state import ChildRow, Instance, LockRow

    from .histories import PendingNames

    FindInstance = Callable[[str], Instance | None]
    FindEntity = Callable[[str], Entity | None]

_TERMINATED = messages.OrchestrationStatus.TERMINATED


@dataclass(frozen=True, slots=True)
class Record:
    """An instance as it is stored."""

    instance: Instance
    due_at: datetime | None
    """When the store lists it as due."""
    events: Sequence[HistoryEvent]
    stored_bytes: int | None = None
    """Size of the history in the store; None when that was not looked at."""

    @property
    def is_rewinding(self) -> bool:
        """Whether a rewind waits for a worker."""
        return any(row.kind is RowKind.REWIND for row in self.instance.inbox)

    @property
    def was_rewound(self) -> bool:
        """Whether a worker has written the history, in the place of the first one."""
        return any(event.execution_rewound is not None for event in self.events)


def findings(record: Record) -> Iterator[Finding]:
    """Everything about the instance that its history contradicts."""
    yield from _length(record)
    yield from _identity(record)
    yield from _wakes(record)
    yield from _numbers(record)
    yield from _inbox(record)
    if record.instance.is_live:
        yield from _begins(record)
        yield from _has_not_ended(record)
        if not record.is_rewinding:
            names = pending_names(record.events)
            yield from _pending_rows(record, names)
            if not record.was_rewound:
                yield from _entered_sections(record, names)
    else:
        yield from _ending(record)
        yield from _rows_after_end(record, pending_names(record.events))


def _length(record: Record) -> Iterator[Finding]:
    progress, stored = record.instance.progress, record.stored_bytes
    expected, found = progress.history_length, len(record.events)
    if expected != found:
        yield Finding("length", f"the history has {found} events, and should have {expected}")
    elif stored is not None and progress.history_bytes != stored:
        expected = progress.history_bytes
        yield Finding("length", f"the history has {stored} bytes, and should have {expected}")


def _identity(record: Record) -> Iterator[Finding]:
    origin = record.instance.origin
    started = next(filter(None, (each.execution_started for each in record.events)), None)
    if started is None:
        return
    if started.name != origin.name:
        yield Finding("identity", f"history is of {started.name!r}, and not of {origin.name!r}")
    identity = started.orchestration_instance
    execution_id = identity.execution_id if identity is not None else None
    if execution_id is not None and execution_id != origin.execution_id:
        text = f"history is of the execution {execution_id}, and not of {origin.execution_id}"
        yield Finding("identity", text)


def _wakes(record: Record) -> Iterator[Finding]:
    due_at = record.instance.due_at()
    if record.due_at != due_at:
        yield Finding(
            "wakes", f"it is due at {record.due_at} in the store, and should be at {due_at}"
        )


def _numbers(record: Record) -> Iterator[Finding]:
    instance = record.instance
    numbers = Counter([*(row.number for row in instance.inbox), *instance.tasks])
    for number, count in numbers.items():
        if count > 1:
            yield Finding("numbers", f"two rows have the number {number}")
        if number > instance.progress.rows_made:
            yield Finding("numbers", f"the number {number} will be given to another row")


def _inbox(record: Record) -> Iterator[Finding]:
    for row in record.instance.inbox:
        if row.kind is RowKind.WAKE_UP:
            continue
        try:
            event = codec.decode(messages.HistoryEvent, row.event)
        except ValueError as error:
            yield Finding("decodes", f"the event {row.number} in the inbox: {error}")
            continue
        answered = pending.answered_by(event)
        if row.answers != answered:
            text = f"the event {row.number} in the inbox answers {answered}, and not {row.answers}"
            yield Finding("inbox", text)


def _begins(record: Record) -> Iterator[Finding]:
    waits = any(row.kind is RowKind.START for row in record.instance.inbox)
    if waits and record.events:
        yield Finding("begins", "it has a history, but its start was not read yet")
    if not waits and not record.events:
        yield Finding("begins", "it has no history, and no start to read")


def _has_not_ended(record: Record) -> Iterator[Finding]:
    has_ended = bool(record.events) and record.events[-1].execution_completed is not None
    if has_ended and not record.is_rewinding:
        status = record.instance.progress.status.name
        yield Finding("ending", f"it is {status}, but its history ends")
    if record.instance.progress.completed_at is not None:
        yield Finding("ending", "it has not ended, but has a time of its end")


def _pending_rows(record: Record, names: PendingNames) -> Iterator[Finding]:
    """What the history leaves pending has one row, and each row is pending in the history."""
    rows = Counter(_names_of_rows(record.instance))
    for name in names.names:
        if rows[name] != 1:
            yield Finding("waits", f"{name} is pending, and has {rows[name]} rows instead of one")
    for name in rows:
        # Locks that a failure had released are requested again when it is rewound.
        if name not in names.names and not (record.was_rewound and pending.is_lock(name)):
            yield Finding("waits", f"{name} has a row, but is not pending")


def _entered_sections(record: Record, names: PendingNames) -> Iterator[Finding]:
    for section in names.entered ^ _entered_by_rows(record.instance):
        yield Finding("locks", f"history and rows disagree about the critical section {section}")


def _names_of_rows(instance: Instance) -> Iterator[str]:
    yield from (row.answers for row in instance.inbox if row.answers is not None)
    yield from (pending.task(row.task_id) for row in instance.tasks.values())
    yield from map(pending.child, instance.children)
    yield from map(pending.call, instance.calls)
    yield from (pending.lock(each) for each, row in instance.locks.items() if not row.is_granted)


def _entered_by_rows(instance: Instance) -> set[str]:
    """Critical sections that the orchestration knows it has entered."""
    return {
        section
        for section, row in instance.locks.items()
        if row.is_granted and instance.inbox.answer_to(pending.lock(section)) is None
    }


def _ending(record: Record) -> Iterator[Finding]:
    progress = record.instance.progress
    completed = record.events[-1].execution_completed if record.events else None
    if progress.completed_at is None:
        yield Finding("ending", "it has ended, but has no time of its end")
    if completed is None:
        yield Finding("ending", f"it is {progress.status.name}, but its history does not end")
        return
    if completed.orchestration_status != progress.status:
        recorded = completed.orchestration_status.name
        yield Finding("ending", f"it is {progress.status.name}, and {recorded} in its history")
    if completed.result != progress.output:
        yield Finding("ending", "its output is not the one in its history")


def _rows_after_end(record: Record, names: PendingNames) -> Iterator[Finding]:
    """Only activities may outlive the instance: fire-and-forget ones are not canceled."""
    instance = record.instance
    for what in ("inbox", "children", "calls", "locks"):
        count = len(getattr(instance, what))
        if count:
            yield Finding("let-go", f"it has ended, but has {count} rows of {what}")
    for row in instance.tasks.values():
        is_pending = pending.task(row.task_id) in names.names
        if not is_pending or instance.progress.status == _TERMINATED:
            yield Finding(
                "let-go",
                f"it has ended, but the activity {row.name!r} ({row.number}) is still pending",
            )


def link_findings(
    instance: Instance, find: FindInstance, find_entity: FindEntity
) -> Iterator[Finding]:
    """Everything that the instance waits for, but that will not answer it."""
    for child in instance.children.values():
        yield from _child(instance, child, find(child.child_id))
    for call in instance.calls.values():
        entity = find_entity(call.entity_id)
        if entity is None or not _is_queued(entity, instance, call.request_id):
            text = f"{call.entity_id} does not have the call {call.request_id}"
            yield Finding("answers", text)
    for lock in instance.locks.values():
        yield from _lock(instance, lock, find_entity)


def _child(parent: Instance, row: ChildRow, child: Instance | None) -> Iterator[Finding]:
    if child is None:
        yield Finding("children", f"it waits for {row.child_id}, which does not exist")
        return
    link = child.origin.parent
    reports_to = None if link is None else (link.instance_id, link.execution_id, link.task_id)
    if reports_to != (parent.instance_id, parent.origin.execution_id, row.task_id):
        yield Finding("children", f"it waits for {row.child_id}, which does not report to it")
    elif not child.is_live:
        yield Finding("children", f"it waits for {row.child_id}, which has ended")


def _lock(instance: Instance, lock: LockRow, find_entity: FindEntity) -> Iterator[Finding]:
    entities = [find_entity(entity_id) for entity_id in lock.lock_set]
    section = lock.critical_section_id
    if lock.is_granted:
        for entity_id, entity in zip(lock.lock_set, entities, strict=True):
            if entity is None or entity.holder_id != instance.instance_id:
                yield Finding("locks", f"it has entered {section}, but has not locked {entity_id}")
    elif not any(each is not None and _is_queued(each, instance, section) for each in entities):
        yield Finding("locks", f"it waits for {section}, but no entity has its request")


def _is_queued(entity: Entity, instance: Instance, request_id: str) -> bool:
    message = entity.queue.find(instance.instance_id, request_id)
    caller = None if message is None else message.caller
    return caller is not None and caller.execution_id == instance.origin.execution_id
