"""Check a history by itself: its pieces, its order, and that each answer has a request.

    OrchestratorStarted ExecutionStarted … ExecutionCompleted

A worker that rewinds an instance writes a history of its own, from which it may leave events
out: then requests and answers are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from durabletask.protocol import codec, messages, oneofs
from durabletask.sidecar.engine import pending

from . import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from durabletask.protocol.messages import HistoryEvent

_STARTED = "orchestrator_started"
# Of an instance that was terminated before its first turn.
_NEVER_BEGUN = ["execution_terminated", "execution_completed"]
# What may come after a failure: the instance is rewound, or terminated while it is rewound.
_AFTER_FAILURE = frozenset(
    (_STARTED, "execution_rewound", "execution_terminated", "execution_completed")
)


class Piece(NamedTuple):
    """The events of one commit, as they are stored."""

    first: int
    """The position of the first of them in the history."""
    events: bytes
    """Encoded as in a work item."""


class Decoded(NamedTuple):
    """A history, and what is wrong with its pieces; if anything is, no other rule applies."""

    events: Sequence[HistoryEvent]
    findings: Sequence[Finding]


def decode(pieces: Iterable[Piece]) -> Decoded:
    """Put the history together from its pieces."""
    events: list[HistoryEvent] = []
    findings: list[Finding] = []
    for piece in pieces:
        if piece.first != len(events):
            text = f"the events that should begin at {len(events)} begin at {piece.first}"
            findings.append(Finding("gapless", text))
        try:
            # Stored events are encoded as the past events of an OrchestratorRequest.
            found = codec.decode(messages.OrchestratorRequest, piece.events).past_events
        except ValueError as error:
            findings.append(Finding("decodes", f"the events at {piece.first}: {error}"))
            continue
        findings += _unknown(found, piece.first)
        events += found
    return Decoded(events, findings)


def _unknown(events: Iterable[HistoryEvent], first: int) -> Iterator[Finding]:
    for position, event in enumerate(events, first):
        if not oneofs.which(event):
            yield Finding("known", f"event {position} is of an unknown kind")


@dataclass(slots=True)
class PendingNames:
    """What a history asks for and does not answer, event by event.

    The official SDK uses one number for all attempts of a retried activity. So what was
    answered may be asked for again, but what is pending may not.
    """

    names: dict[str, None] = field(default_factory=dict)
    """As `engine.pending` names it."""
    entered: set[str] = field(default_factory=set)
    """Critical sections that were granted and not left."""

    def follow(self, event: HistoryEvent) -> Iterator[Finding]:
        """Take the event into account, and yield what is wrong with it."""
        if event.entity_unlock_sent is not None:
            section = event.entity_unlock_sent.critical_section_id
            self.names.pop(pending.lock(section), None)
            self.entered.discard(section)
        elif (requested := pending.requested_by(event)) is not None:
            yield from self._request(requested, event)
        elif (answered := pending.answered_by(event)) is not None:
            yield from self._answer(answered, event)

    def _request(self, name: str, event: HistoryEvent) -> Iterator[Finding]:
        if name in self.names:
            kind = oneofs.which(event)
            yield Finding("asked-once", f"{name} is asked for again ({kind}) before its answer")
        self.names[name] = None

    def _answer(self, name: str, event: HistoryEvent) -> Iterator[Finding]:
        if name not in self.names:
            kind = oneofs.which(event)
            yield Finding("answered-once", f"{name} is answered ({kind}), but is not pending")
        self.names.pop(name, None)
        if event.entity_lock_granted is not None:
            self.entered.add(event.entity_lock_granted.critical_section_id)


def pending_names(events: Iterable[HistoryEvent]) -> PendingNames:
    """What the whole history leaves pending."""
    names = PendingNames()
    for event in events:
        for _ in names.follow(event):
            pass
    return names


def findings(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    """Everything that is wrong with these events."""
    for rule in (_begins, _starts_once, _ends_once, _keeps_time, _answers):
        yield from rule(events)


def _begins(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    kinds = [oneofs.which(event) for event in events]
    if not kinds or kinds == _NEVER_BEGUN:
        return
    if kinds[0] != _STARTED:
        yield Finding("begins", f"the first event is {kinds[0]}, and not {_STARTED}")
    first = next((kind for kind in kinds if kind != _STARTED), None)
    if first != "execution_started":
        yield Finding("begins", f"the first event of the orchestration is {first}")


def _starts_once(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    count = sum(event.execution_started is not None for event in events)
    if count > 1:
        yield Finding("starts-once", f"execution_started occurs {count} times")


def _ends_once(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    failed = messages.OrchestrationStatus.FAILED
    end = None
    for position, event in enumerate(events):
        kind = oneofs.which(event)
        if end is not None and (end != failed or kind not in _AFTER_FAILURE):
            yield Finding("ends-once", f"event {position}, {kind}, comes after the end")
            return
        if event.execution_completed is not None:
            end = event.execution_completed.orchestration_status


def _keeps_time(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    turns = [(at, each) for at, each in enumerate(events) if each.orchestrator_started is not None]
    for (_, earlier), (position, later) in pairwise(turns):
        if earlier.timestamp is None or later.timestamp is None:
            continue
        if later.timestamp < earlier.timestamp:
            yield Finding("keeps-time", f"event {position}, a turn, is before the turn before it")


def _answers(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    if any(event.execution_rewound is not None for event in events):
        return
    names = PendingNames()
    for event in events:
        yield from names.follow(event)
