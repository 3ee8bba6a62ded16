"""Whether an instance's state and rows agree with its history.

While it is being rewound, its history still ends with the failure, and nothing that was open
waits: it is set going when a worker has answered.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine import pending
from durabletask.sidecar.engine.inbox import RowKind

from . import ledger
from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from durabletask.protocol.messages import HistoryEvent
    from durabletask.sidecar.engine.state import Instance

    from .ledger import Ledger

_TERMINATED = messages.OrchestrationStatus.TERMINATED


@dataclass(frozen=True, slots=True)
class Record:
    """An instance as it is stored."""

    instance: Instance
    due_at: datetime | None
    """What it is woken by."""
    events: Sequence[HistoryEvent]

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
        yield from _goes_on(record)
        if not record.is_rewinding:
            asked = ledger.of(record.events)
            yield from _waits(record, asked)
            if not record.was_rewound:
                yield from _is_inside(record, asked)
    else:
        yield from _ending(record)
        yield from _has_let_go(record, ledger.of(record.events))


def _length(record: Record) -> Iterator[Finding]:
    told, found = record.instance.progress.history_length, len(record.events)
    if told != found:
        yield Finding("length", f"the history has {found} events, and should have {told}")


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
        yield Finding("wakes", f"it is woken at {record.due_at}, and should be at {due_at}")


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
            yield Finding("decodes", f"the event {row.number} that waits: {error}")
            continue
        answered = ledger.answer_in(event)
        if row.answers != answered:
            text = f"the event {row.number} that waits answers {answered}, and not {row.answers}"
            yield Finding("inbox", text)


def _begins(record: Record) -> Iterator[Finding]:
    waits = any(row.kind is RowKind.START for row in record.instance.inbox)
    if waits and record.events:
        yield Finding("begins", "it has begun, but its start waits still")
    if not waits and not record.events:
        yield Finding("begins", "it has not begun, and its start does not wait")


def _goes_on(record: Record) -> Iterator[Finding]:
    has_ended = bool(record.events) and record.events[-1].execution_completed is not None
    if has_ended and not record.is_rewinding:
        status = record.instance.progress.status.name
        yield Finding("ending", f"it is {status}, but its history has ended")
    if record.instance.progress.completed_at is not None:
        yield Finding("ending", "it goes on, but has a time of its end")


def _waits(record: Record, asked: Ledger) -> Iterator[Finding]:
    """What is open waits in one place, and what waits is open."""
    waiting = Counter(_waiting(record.instance))
    for name in asked.open:
        if waiting[name] != 1:
            yield Finding("waits", f"{name} is open, and waits in {waiting[name]} places")
    for name in waiting:
        # Locks that a failure had released are asked for again when it is rewound.
        if name not in asked.open and not (record.was_rewound and pending.is_lock(name)):
            yield Finding("waits", f"{name} waits, but is not open")


def _is_inside(record: Record, asked: Ledger) -> Iterator[Finding]:
    for section in asked.entered ^ _held(record.instance):
        yield Finding("locks", f"the critical section {section} is not as history has it")


def _waiting(instance: Instance) -> Iterator[str]:
    yield from (row.answers for row in instance.inbox if row.answers is not None)
    yield from (pending.task(row.task_id) for row in instance.tasks.values())
    yield from map(pending.child, instance.children)
    yield from map(pending.call, instance.calls)
    yield from (pending.lock(each) for each, row in instance.locks.items() if not row.is_granted)


def _held(instance: Instance) -> set[str]:
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
        yield Finding("ending", f"it is {progress.status.name}, but its history goes on")
        return
    if completed.orchestration_status != progress.status:
        told = completed.orchestration_status.name
        yield Finding("ending", f"it is {progress.status.name}, and {told} in its history")
    if completed.result != progress.output:
        yield Finding("ending", "its output is not the one in its history")


def _has_let_go(record: Record, asked: Ledger) -> Iterator[Finding]:
    """Only activities outlive the end, for a call that nobody waits for is a promise."""
    instance = record.instance
    for what in ("inbox", "children", "calls", "locks"):
        count = len(getattr(instance, what))
        if count:
            yield Finding("let-go", f"it has ended, but has {count} rows of {what}")
    for row in instance.tasks.values():
        is_kept = pending.task(row.task_id) in asked.open
        if not is_kept or instance.progress.status == _TERMINATED:
            yield Finding("let-go", f"it has ended, but {row.name!r} ({row.number}) still waits")
