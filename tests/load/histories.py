"""The rules that every single history must keep, whatever the orchestration is.

    begins    with OrchestratorStarted, then the only ExecutionStarted
    turns     their clocks never go back
    asks      a task, timer, child, call or lock is requested once, or once more after it failed
    answers   follow the request, once each, and a timer's not before it is due
    ends      with the only ExecutionCompleted, and nothing requested is left open

The last rule holds for orchestrators that await everything they start, as those here do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from durabletask import history

from .violations import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from durabletask.history import HistoryEvent


class _Outcome(Enum):
    OPEN = auto()
    GOOD = auto()
    BAD = auto()


@dataclass(slots=True)
class _Reading:
    """A history as far as it was read."""

    of: str
    turn: datetime | None = None
    begun: bool = False
    ended: bool = False
    asked: dict[str, _Outcome] = field(default_factory=dict)
    due: dict[int, datetime] = field(default_factory=dict)

    def read(self, event: HistoryEvent) -> Iterator[Violation]:
        """Go on by one event; yields what is wrong with it."""
        if self.ended and not isinstance(event, history.OrchestratorCompletedEvent):
            yield self._fault(_kind_after_end(event), f"{_name(event)} after the end")
        match event:
            case history.OrchestratorStartedEvent():
                yield from self._turn(event)
            case history.ExecutionStartedEvent():
                yield from self._begin()
            case history.ExecutionCompletedEvent():
                self.ended = True
            case _:
                yield from self._happen(event)

    def close(self, *, has_ended: bool) -> Iterator[Violation]:
        """Take note that nothing follows; `has_ended` says what the instance's status says."""
        if not self.begun:
            yield self._fault(Kind.LOST, "ExecutionStarted")
        if not has_ended:
            return
        if not self.ended:
            yield self._fault(Kind.LOST, "ExecutionCompleted, of an instance that has ended")
        for asked, outcome in self.asked.items():
            if outcome is _Outcome.OPEN:
                yield self._fault(Kind.LOST, f"the answer to {asked}")

    def _turn(self, event: HistoryEvent) -> Iterator[Violation]:
        if self.turn is not None and event.timestamp < self.turn:
            yield self._fault(Kind.WRONG, "the clock of a turn goes back")
        self.turn = event.timestamp

    def _begin(self) -> Iterator[Violation]:
        if self.turn is None:
            yield self._fault(Kind.WRONG, "ExecutionStarted before the first turn")
        if self.begun:
            yield self._fault(Kind.DOUBLED, "ExecutionStarted")
        self.begun = True

    def _happen(self, event: HistoryEvent) -> Iterator[Violation]:
        if not self.begun:
            yield self._fault(Kind.WRONG, f"{_name(event)} before ExecutionStarted")
        asked, answered = _asked_by(event), _answered_by(event)
        if isinstance(event, history.TimerCreatedEvent):
            self.due[event.event_id] = event.fire_at
        if isinstance(event, history.TimerFiredEvent):
            yield from self._fire(event)
        if asked is not None:
            yield from self._ask(asked)
        elif answered is not None:
            yield from self._answer(*answered)

    def _ask(self, asked: str) -> Iterator[Violation]:
        before = self.asked.get(asked, _Outcome.BAD)
        if before is not _Outcome.BAD:
            state = "is open" if before is _Outcome.OPEN else "has succeeded"
            yield self._fault(Kind.DOUBLED, f"{asked}, asked for again while it {state}")
        self.asked[asked] = _Outcome.OPEN

    def _answer(self, asked: str, outcome: _Outcome) -> Iterator[Violation]:
        before = self.asked.get(asked)
        if before is None:
            yield self._fault(Kind.WRONG, f"an answer to {asked}, which was not asked for")
        elif before is not _Outcome.OPEN:
            yield self._fault(Kind.DOUBLED, f"the answer to {asked}")
        self.asked[asked] = outcome

    def _fire(self, event: history.TimerFiredEvent) -> Iterator[Violation]:
        due = self.due.get(event.timer_id)
        if due is not None and self.turn is not None and self.turn < due:
            yield self._fault(Kind.WRONG, f"timer {event.timer_id} fired before it was due")

    def _fault(self, kind: Kind, what: str) -> Violation:
        return Violation(kind, self.of, what)


def faults_in(of: str, events: Sequence[HistoryEvent], *, has_ended: bool) -> Iterator[Violation]:
    """All that is wrong with the history of an instance, read by itself."""
    reading = _Reading(of)
    for event in events:
        yield from reading.read(event)
    yield from reading.close(has_ended=has_ended)


def _asked_by(event: HistoryEvent) -> str | None:
    """What the event asks for, by a name that its answer has too."""
    match event:
        case history.TaskScheduledEvent():
            return f"task {event.event_id}"
        case history.TimerCreatedEvent():
            return f"timer {event.event_id}"
        case history.SubOrchestrationInstanceCreatedEvent():
            return f"child {event.event_id}"
        case history.EntityOperationCalledEvent():
            return f"call {event.request_id}"
        case history.EntityLockRequestedEvent():
            return f"lock {event.critical_section_id}"
    return None


def _answered_by(event: HistoryEvent) -> tuple[str, _Outcome] | None:
    """What the event answers, and how."""
    match event:
        case history.TaskCompletedEvent():
            return f"task {event.task_scheduled_id}", _Outcome.GOOD
        case history.TaskFailedEvent():
            return f"task {event.task_scheduled_id}", _Outcome.BAD
        case history.TimerFiredEvent():
            return f"timer {event.timer_id}", _Outcome.GOOD
        case history.SubOrchestrationInstanceCompletedEvent():
            return f"child {event.task_scheduled_id}", _Outcome.GOOD
        case history.SubOrchestrationInstanceFailedEvent():
            return f"child {event.task_scheduled_id}", _Outcome.BAD
        case history.EntityOperationCompletedEvent():
            return f"call {event.request_id}", _Outcome.GOOD
        case history.EntityOperationFailedEvent():
            return f"call {event.request_id}", _Outcome.BAD
        case history.EntityLockGrantedEvent():
            return f"lock {event.critical_section_id}", _Outcome.GOOD
    return None


def _kind_after_end(event: HistoryEvent) -> Kind:
    return Kind.DOUBLED if isinstance(event, history.ExecutionCompletedEvent) else Kind.WRONG


def _name(event: HistoryEvent) -> str:
    return type(event).__name__.removesuffix("Event")
