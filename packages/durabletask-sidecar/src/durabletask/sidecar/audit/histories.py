"""What has to be true of a history, whatever the instance does.

    OrchestratorStarted ExecutionStarted … ExecutionCompleted

A worker that rewinds an instance writes a history of its own; what it has left out of that
is not held against it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from durabletask.protocol import messages, oneofs

from .finding import Finding
from .ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durabletask.protocol.messages import HistoryEvent

_STARTED = "orchestrator_started"
# Of an instance that was terminated before its first turn.
_NEVER_BEGUN = ["execution_terminated", "execution_completed"]
# What may come behind a failure: one that it tried to go on from, or a termination of that.
_AFTER_FAILURE = frozenset(
    (_STARTED, "execution_rewound", "execution_terminated", "execution_completed")
)


def findings(events: Sequence[HistoryEvent]) -> Iterator[Finding]:
    """Everything about these events that cannot be."""
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
        yield Finding("starts-once", f"execution_started is there {count} times")


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
    ledger = Ledger()
    for event in events:
        yield from ledger.note(event)
