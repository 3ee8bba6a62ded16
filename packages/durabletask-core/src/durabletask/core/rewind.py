"""Rewrite the history of an orchestration that failed, so that the calls that failed are repeated.

The answer to a turn of exactly [orchestratorStarted, executionRewound], when history ends in
an executionCompleted, is one action with the history to go on from. Of an activity that failed,
both taskScheduled and taskFailed are dropped, so that the code calls it again; of a
sub-orchestration only the failure, for the engine rewinds the child itself. The execution gets
a new id, and a child the id of its parent's new execution.

An attempt that was followed by another stays: the code will ask again for the timer between
the two.

Whether the code agrees with the rewritten history is tried in `durabletask.core.orchestration`.
"""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, TypeVar

from durabletask.protocol import messages
from durabletask.protocol.correlation import (
    ACTIVITY,
    DETACHED_ORCHESTRATION,
    ENTITY_UNLOCK,
    REQUESTED_BY,
    SUB_ORCHESTRATION,
)
from durabletask.protocol.oneofs import which

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

M = TypeVar("M")

_NEW_EXECUTION = uuid.uuid5(uuid.NAMESPACE_OID, "durabletask.rewind")

_CALLS = frozenset({ACTIVITY.event, SUB_ORCHESTRATION.event})
_FAILED = frozenset({ACTIVITY.failed_by, SUB_ORCHESTRATION.failed_by})
_ANSWERS = frozenset({*ACTIVITY.answers, *SUB_ORCHESTRATION.answers})
# What the code asked for. Unlocks are left out: an entity that was unlocked stays unlocked.
_ASKED = REQUESTED_BY.keys() - {ENTITY_UNLOCK.event, DETACHED_ORCHESTRATION.event}


def is_asked(request: messages.OrchestratorRequest) -> bool:
    """Whether this turn is to rewrite history instead of going on from it."""
    # With a history that was rewritten already, an executionRewound only makes the code go on.
    return any(event.execution_rewound is not None for event in request.new_events) and any(
        event.execution_completed is not None for event in request.past_events
    )


def rewritten(
    request: messages.OrchestratorRequest, *, last_turn_only: bool = False
) -> list[messages.HistoryEvent]:
    """The history to go on from; with `last_turn_only` nothing before that turn is changed.

    Failures that the code had caught then stay, and what the last turn asked for before it
    failed is dropped as well. Raises ValueError if the new events are not those of a rewind.
    """
    rewound = _rewound(request.new_events)
    past = request.past_events
    dropped = _dropped(past, last_turn_only=last_turn_only)
    execution_id = _new_execution_id(request)
    kept = [
        _restarted(event, rewound, execution_id, request.instance_id)
        if event.execution_started
        else event
        for index, event in enumerate(past)
        if index not in dropped and event.execution_completed is None
    ]
    return kept + request.new_events


def sections_cut_off(past: Sequence[messages.HistoryEvent]) -> list[str]:
    """The entities of the critical sections that the failure ended, whose locks are lost.

    The turn that failed unlocked them, or the engine did. Code that went on from there would
    run the rest of the section while other orchestrations have the locks.
    """
    last_turn = _last_turn(past)
    inside: dict[str, Sequence[str]] = {}
    wanted: dict[str, Sequence[str]] = {}
    for index, event in enumerate(past):
        if event.entity_lock_requested is not None:
            request = event.entity_lock_requested
            wanted[request.critical_section_id] = request.lock_set
        elif event.entity_lock_granted is not None:
            section = event.entity_lock_granted.critical_section_id
            inside[section] = wanted.get(section, ())
        elif event.entity_unlock_sent is not None and index < last_turn:
            inside.pop(event.entity_unlock_sent.critical_section_id, None)
    return sorted({entity for entities in inside.values() for entity in entities})


def rewind_action(history: list[messages.HistoryEvent]) -> messages.OrchestratorAction:
    """The action that replaces the history by that one."""
    # -1: it was not asked for by user code.
    return messages.OrchestratorAction(
        id=-1, rewind_orchestration=messages.RewindOrchestrationAction(new_history=history)
    )


def _rewound(new: Sequence[messages.HistoryEvent]) -> messages.ExecutionRewoundEvent:
    if [which(event) for event in new] != ["orchestrator_started", "execution_rewound"]:
        raise ValueError(
            "When rewinding an orchestration, the new events list must contain exactly two "
            "events: orchestratorStarted and the executionRewound event."
        )
    rewound = new[1].execution_rewound
    assert rewound is not None
    return rewound


def _dropped(past: Sequence[messages.HistoryEvent], *, last_turn_only: bool) -> set[int]:
    if not last_turn_only:
        return set(_failures(past, since=0))
    since = _last_turn(past)
    asked = (index for index in range(since, len(past)) if which(past[index]) in _ASKED)
    return {*_failures(past, since=since), *asked}


def _last_turn(past: Sequence[messages.HistoryEvent]) -> int:
    turns = [index for index, event in enumerate(past) if event.orchestrator_started is not None]
    return turns[-1] if turns else 0


def _failures(past: Sequence[messages.HistoryEvent], *, since: int) -> Iterator[int]:
    """The positions of the events to drop for calls that failed in the end, later than `since`."""
    asked: dict[int, int] = {}
    answers: dict[int, list[int]] = {}
    for index, event in enumerate(past):
        kind = which(event)
        if kind in _CALLS:
            asked[event.event_id] = index
            answers[event.event_id] = []
        elif kind in _ANSWERS:
            answers.get(getattr(event, kind).task_scheduled_id, []).append(index)
    for number, found in answers.items():
        # Of several answers the first one counts; the others are dropped or kept with it.
        if not found or found[0] < since or which(past[found[0]]) not in _FAILED:
            continue
        yield from found
        if past[asked[number]].task_scheduled is not None:
            yield asked[number]


def _new_execution_id(request: messages.OrchestratorRequest) -> str:
    # Made from the turn itself: if the turn is sent twice, both answers are the same.
    at = request.new_events[0].timestamp
    return uuid.uuid5(_NEW_EXECUTION, f"{request.instance_id}/{request.execution_id}/{at}").hex


def _restarted(
    event: messages.HistoryEvent,
    rewound: messages.ExecutionRewoundEvent,
    execution_id: str,
    instance_id: str,
) -> messages.HistoryEvent:
    """The start of the execution, with its new id and that of its parent's new execution."""
    started = event.execution_started
    assert started is not None
    instance = started.orchestration_instance or messages.OrchestrationInstance(instance_id)
    parent = started.parent_instance
    if parent is not None and rewound.parent_execution_id:
        owner = parent.orchestration_instance or messages.OrchestrationInstance()
        parent = _changed(
            parent,
            orchestration_instance=_changed(owner, execution_id=rewound.parent_execution_id),
        )
    return _changed(
        event,
        execution_started=_changed(
            started,
            orchestration_instance=_changed(instance, execution_id=execution_id),
            parent_instance=parent,
        ),
    )


def _changed(message: M, **fields: object) -> M:
    """A copy with other values; the request's own message stays unchanged."""
    changed = copy.copy(message)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
