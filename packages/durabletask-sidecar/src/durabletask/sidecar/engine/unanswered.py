"""Find in a history what was asked for and has no answer there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.protocol import correlation
from durabletask.protocol.oneofs import which

from . import detached

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from durabletask.protocol import messages


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
    pending: dict[correlation.Request, dict[Any, Any]] = {
        correlation.ACTIVITY: found.tasks,
        correlation.TIMER: found.timers,
        correlation.SUB_ORCHESTRATION: found.children,
        correlation.ENTITY_CALL: found.calls,
    }
    for event in history:
        kind = which(event)
        if (request := correlation.REQUESTED_BY.get(kind)) in pending:
            value = _awaited(event, kind)
            if value is not None:
                pending[request][request.id_of(event)] = value
        elif (request := correlation.ANSWERED_BY.get(kind)) in pending:
            pending[request].pop(request.id_in(event, kind), None)
        else:
            _note_lock(found.locks, event)
    return found


def _awaited(event: messages.HistoryEvent, kind: str) -> Any:
    """What is remembered of the request; None if nobody waits for its answer."""
    if event.timer_created is not None:
        return event.timer_created.fire_at
    child = event.sub_orchestration_instance_created
    if child is not None and detached.is_detached(child.tags):
        return None
    return getattr(event, kind)


def _note_lock(
    locks: dict[str, messages.EntityLockRequestedEvent], event: messages.HistoryEvent
) -> None:
    """A lock is held until it is given back, not until the request for it is granted."""
    if event.entity_lock_requested is not None:
        locks[event.entity_lock_requested.critical_section_id] = event.entity_lock_requested
    elif event.entity_unlock_sent is not None:
        locks.pop(event.entity_unlock_sent.critical_section_id, None)
