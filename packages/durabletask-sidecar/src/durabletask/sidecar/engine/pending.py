"""What an execution waits for: names for it, and what of it a history leaves pending.

Each name is pending at most once at a time. A worker that has lost its history may ask
again for what is under way, or for what has a result that it has not read yet: both are
recognized by these names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.protocol import correlation, oneofs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from durabletask.protocol import messages

# The tag by which the Durable Task Framework marks fire-and-forget sub-orchestrations.
_FIRE_AND_FORGET = "FireAndForget"


def task(task_id: int) -> str:
    return f"task:{task_id}"


def timer(timer_id: int) -> str:
    return f"timer:{timer_id}"


def child(task_id: int) -> str:
    return f"child:{task_id}"


def call(request_id: str) -> str:
    """The call of an entity, whose result the orchestration waits for."""
    return f"call:{request_id}"


def lock(critical_section_id: str) -> str:
    return f"lock:{critical_section_id}"


def is_lock(name: str) -> bool:
    """Whether the name is that of a critical section."""
    return name.startswith(lock(""))


_NAMES: dict[correlation.Request, Callable[[Any], str]] = {
    correlation.ACTIVITY: task,
    correlation.TIMER: timer,
    correlation.SUB_ORCHESTRATION: child,
    correlation.ENTITY_CALL: call,
    correlation.ENTITY_LOCK: lock,
}


def requested_by(event: messages.HistoryEvent) -> str | None:
    """The name of what the event asks for; None when no answer is expected."""
    request = correlation.REQUESTED_BY.get(oneofs.which(event))
    if request is None or request not in _NAMES or _is_fire_and_forget(event):
        return None
    return _NAMES[request](request.id_of(event))


def answered_by(event: messages.HistoryEvent) -> str | None:
    """The name of what the event answers; None when it is no answer."""
    kind = oneofs.which(event)
    request = correlation.ANSWERED_BY.get(kind)
    return None if request is None else _NAMES[request](request.id_in(event, kind))


def is_fire_and_forget(tags: Mapping[str, str]) -> bool:
    """Whether a sub-orchestration with these tags has no parent: it is never pending."""
    return _FIRE_AND_FORGET in tags


def _is_fire_and_forget(event: messages.HistoryEvent) -> bool:
    created = event.sub_orchestration_instance_created
    return created is not None and is_fire_and_forget(created.tags)


@dataclass(slots=True)
class PendingWork:
    """What an execution with a certain history waits for."""

    tasks: dict[int, messages.TaskScheduledEvent] = field(default_factory=dict)
    timers: dict[int, datetime] = field(default_factory=dict)
    children: dict[int, messages.SubOrchestrationInstanceCreatedEvent] = field(default_factory=dict)
    calls: dict[str, messages.EntityOperationCalledEvent] = field(default_factory=dict)
    locks: dict[str, messages.EntityLockRequestedEvent] = field(default_factory=dict)
    """Critical sections that were requested or granted, and not left."""


def pending_work(history: Iterable[messages.HistoryEvent]) -> PendingWork:
    """What the history asks for and does not answer."""
    work = PendingWork()
    rows: dict[correlation.Request, dict[Any, Any]] = {
        correlation.ACTIVITY: work.tasks,
        correlation.TIMER: work.timers,
        correlation.SUB_ORCHESTRATION: work.children,
        correlation.ENTITY_CALL: work.calls,
    }
    for event in history:
        kind = oneofs.which(event)
        requested = correlation.REQUESTED_BY.get(kind)
        answered = correlation.ANSWERED_BY.get(kind)
        if requested is not None and requested in rows:
            body = _body(event, kind)
            if body is not None:
                rows[requested][requested.id_of(event)] = body
        elif answered is not None and answered in rows:
            rows[answered].pop(answered.id_in(event, kind), None)
        else:
            _follow_lock(work.locks, event)
    return work


def _body(event: messages.HistoryEvent, kind: str) -> Any:
    """What is needed to ask again; None when no answer is expected."""
    if event.timer_created is not None:
        return event.timer_created.fire_at
    return None if _is_fire_and_forget(event) else getattr(event, kind)


def _follow_lock(
    locks: dict[str, messages.EntityLockRequestedEvent], event: messages.HistoryEvent
) -> None:
    # A lock is held until it is released: its grant does not end what is pending.
    if event.entity_lock_requested is not None:
        locks[event.entity_lock_requested.critical_section_id] = event.entity_lock_requested
    elif event.entity_unlock_sent is not None:
        locks.pop(event.entity_unlock_sent.critical_section_id, None)
