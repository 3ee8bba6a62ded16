"""Follow through a history what is asked for and what is answered.

Everything is named as in `engine.outstanding`. Official SDKs use one number for all attempts
of a retried activity, so what was answered may be asked for again; only never twice at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask.protocol import correlation, oneofs
from durabletask.sidecar.engine import detached, outstanding

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
        if event.entity_unlock_sent is not None:
            section = event.entity_unlock_sent.critical_section_id
            self.open.pop(outstanding.lock(section), None)
            self.entered.discard(section)
        elif (asked := _asked_in(event, kind)) is not None:
            yield from self._ask(kind, asked)
        elif (answered := _answered_in(event, kind)) is not None:
            yield from self._answer(kind, answered)
            if event.entity_lock_granted is not None:
                self.entered.add(event.entity_lock_granted.critical_section_id)

    def _ask(self, kind: str, name: str) -> Iterator[Finding]:
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


_NAMES: dict[correlation.Request, Callable[[Any], str]] = {
    correlation.ACTIVITY: outstanding.task,
    correlation.TIMER: outstanding.timer,
    correlation.SUB_ORCHESTRATION: outstanding.child,
    correlation.ENTITY_CALL: outstanding.call,
    correlation.ENTITY_LOCK: outstanding.lock,
}


def answer_in(event: HistoryEvent) -> str | None:
    """The name of what the event answers; None when it is no answer."""
    return _answered_in(event, oneofs.which(event))


def _answered_in(event: HistoryEvent, kind: str) -> str | None:
    request = correlation.ANSWERED_BY.get(kind)
    return None if request is None else _NAMES[request](request.id_in(event, kind))


def _asked_in(event: HistoryEvent, kind: str) -> str | None:
    """The name of what the event asks for; None when nobody waits for an answer."""
    request = correlation.REQUESTED_BY.get(kind)
    if request is None or not request.answers:
        return None
    child = event.sub_orchestration_instance_created
    if child is not None and detached.is_detached(child.tags):
        return None
    return _NAMES[request](request.id_of(event))
