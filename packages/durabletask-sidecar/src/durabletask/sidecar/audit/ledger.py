"""Follow through a history what is asked for and what is answered.

Everything is named as in `engine.pending`. Official SDKs use one number for all attempts
of a retried activity, so what was answered may be asked for again; only never twice at once.

Knows nothing about the rows of an instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.protocol import oneofs
from durabletask.sidecar.engine import pending

from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from durabletask.protocol.messages import HistoryEvent


@dataclass(slots=True)
class Ledger:
    """What is open."""

    open: dict[str, None] = field(default_factory=dict)
    """Asked for and not answered."""
    entered: set[str] = field(default_factory=set)
    """Critical sections that were granted and not left."""

    def note(self, event: HistoryEvent) -> Iterator[Finding]:
        """Take the event over, and yield what it should not have been."""
        kind = oneofs.which(event)
        if kind in _QUESTIONS:
            yield from self._ask(kind, _QUESTIONS[kind](event))
        elif kind in _ANSWERS:
            yield from self._answer(kind, _ANSWERS[kind](getattr(event, kind)))
        elif event.entity_lock_granted is not None:
            section = event.entity_lock_granted.critical_section_id
            yield from self._answer(kind, pending.lock(section))
            self.entered.add(section)
        elif event.entity_unlock_sent is not None:
            section = event.entity_unlock_sent.critical_section_id
            self.open.pop(pending.lock(section), None)
            self.entered.discard(section)

    def _ask(self, kind: str, name: str | None) -> Iterator[Finding]:
        if name is None:
            return
        if name in self.open:
            yield Finding("asked-once", f"{name} is asked for again ({kind}) before its answer")
        self.open[name] = None

    def _answer(self, kind: str, name: str) -> Iterator[Finding]:
        if name not in self.open:
            yield Finding("answered-once", f"{name} is answered ({kind}), but is not open")
        self.open.pop(name, None)


def of(events: Iterable[HistoryEvent]) -> Ledger:
    """What the whole history has left open."""
    ledger = Ledger()
    for event in events:
        for _ in ledger.note(event):
            pass
    return ledger


def _child(event: HistoryEvent) -> str | None:
    created = event.sub_orchestration_instance_created
    assert created is not None
    # Nobody waits for it.
    return None if pending.is_fire_and_forget(created.tags) else pending.child(event.event_id)


def _call(event: HistoryEvent) -> str:
    assert event.entity_operation_called is not None
    return pending.call(event.entity_operation_called.request_id)


def _lock(event: HistoryEvent) -> str:
    assert event.entity_lock_requested is not None
    return pending.lock(event.entity_lock_requested.critical_section_id)


_QUESTIONS: dict[str, Callable[[HistoryEvent], str | None]] = {
    "task_scheduled": lambda event: pending.task(event.event_id),
    "timer_created": lambda event: pending.timer(event.event_id),
    "sub_orchestration_instance_created": _child,
    "entity_operation_called": _call,
    "entity_lock_requested": _lock,
}

_ANSWERS: dict[str, Callable[[Any], str]] = {
    "task_completed": lambda answer: pending.task(answer.task_scheduled_id),
    "task_failed": lambda answer: pending.task(answer.task_scheduled_id),
    "timer_fired": lambda answer: pending.timer(answer.timer_id),
    "sub_orchestration_instance_completed": lambda answer: pending.child(answer.task_scheduled_id),
    "sub_orchestration_instance_failed": lambda answer: pending.child(answer.task_scheduled_id),
    "entity_operation_completed": lambda answer: pending.call(answer.request_id),
    "entity_operation_failed": lambda answer: pending.call(answer.request_id),
}


def answer_in(event: HistoryEvent) -> str | None:
    """What the event answers, by its name; None when it is no answer."""
    if event.entity_lock_granted is not None:
        return pending.lock(event.entity_lock_granted.critical_section_id)
    kind = oneofs.which(event)
    return _ANSWERS[kind](getattr(event, kind)) if kind in _ANSWERS else None
