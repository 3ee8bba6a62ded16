"""Find in a history what was asked for and has no answer there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from . import pending

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from durabletask.protocol import messages

_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(slots=True)
class Unanswered:
    """What an execution with this history waits for."""

    tasks: dict[int, messages.TaskScheduledEvent] = field(default_factory=dict)
    timers: dict[int, datetime] = field(default_factory=dict)
    children: dict[int, messages.SubOrchestrationInstanceCreatedEvent] = field(default_factory=dict)
    calls: dict[str, messages.EntityOperationCalledEvent] = field(default_factory=dict)
    locks: dict[str, messages.EntityLockRequestedEvent] = field(default_factory=dict)
    """Critical sections that were not left."""


def unanswered(history: Iterable[messages.HistoryEvent]) -> Unanswered:
    found = Unanswered()
    for event in history:
        _note_question(found, event)
        _note_answer(found, event)
    return found


def _note_question(found: Unanswered, event: messages.HistoryEvent) -> None:
    if event.task_scheduled is not None:
        found.tasks[event.event_id] = event.task_scheduled
    elif event.timer_created is not None and event.timer_created.fire_at is not None:
        found.timers[event.event_id] = event.timer_created.fire_at
    elif event.sub_orchestration_instance_created is not None:
        if pending.is_fire_and_forget(event.sub_orchestration_instance_created.tags):
            return
        found.children[event.event_id] = event.sub_orchestration_instance_created
    elif event.entity_operation_called is not None:
        found.calls[event.entity_operation_called.request_id] = event.entity_operation_called
    elif event.entity_lock_requested is not None:
        section = event.entity_lock_requested.critical_section_id
        found.locks[section] = event.entity_lock_requested


def _note_answer(found: Unanswered, event: messages.HistoryEvent) -> None:
    task = _either(event.task_completed, event.task_failed)
    child = _either(
        event.sub_orchestration_instance_completed, event.sub_orchestration_instance_failed
    )
    call = _either(event.entity_operation_completed, event.entity_operation_failed)
    if task is not None:
        found.tasks.pop(task.task_scheduled_id, None)
    elif event.timer_fired is not None:
        found.timers.pop(event.timer_fired.timer_id, None)
    elif child is not None:
        found.children.pop(child.task_scheduled_id, None)
    elif call is not None:
        found.calls.pop(call.request_id, None)
    elif event.entity_unlock_sent is not None:
        found.locks.pop(event.entity_unlock_sent.critical_section_id, None)


def _either(first: _A | None, second: _B | None) -> _A | _B | None:
    # A message of defaults only counts as false.
    return first if first is not None else second
