"""Rewrite the history of an orchestration that failed, so that what failed is done again.

The answer to a turn of exactly [orchestratorStarted, executionRewound], when history ends in
an executionCompleted, is one action with the history to go on from. An activity that failed
loses its taskScheduled and its taskFailed, so that the code asks for it anew; a child loses
only its failure, for the engine rewinds the child itself. The run gets a new id, and a child
the id of its parent's new run.

An attempt that was followed by another stays: with it go the timer between the two and its
number, which the code will ask for again.

Knows nothing about the code; whether it agrees with what comes out is for `decide` to try.
"""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, TypeVar

from durabletask.protocol.oneofs import which

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durabletask.protocol import messages

M = TypeVar("M")

_NEW_RUN = uuid.uuid5(uuid.NAMESPACE_OID, "durabletask.rewind")

_CALLS = frozenset({"task_scheduled", "sub_orchestration_instance_created"})
# By what history records that the code asked for something. Locks that were given back are
# given back, so entityUnlockSent is not among them.
_ASKED = _CALLS | {
    "timer_created",
    "event_sent",
    "entity_operation_called",
    "entity_operation_signaled",
    "entity_lock_requested",
}
_FAILED = frozenset({"task_failed", "sub_orchestration_instance_failed"})
_ANSWERS = _FAILED | {"task_completed", "sub_orchestration_instance_completed"}


def is_asked(request: messages.OrchestratorRequest) -> bool:
    """Whether this turn is to rewrite history, and not to go on from it."""
    # An executionRewound over a history that was rewritten already only wakes its code.
    return any(event.execution_rewound is not None for event in request.new_events) and any(
        event.execution_completed is not None for event in request.past_events
    )


def rewritten(
    request: messages.OrchestratorRequest, *, last_turn_only: bool = False
) -> list[messages.HistoryEvent]:
    """The history to go on from; with `last_turn_only` nothing before that turn is changed.

    Failures that the code had survived then stay, and what the turn asked for before it
    failed goes as well. Raises ValueError if the new events are others than a rewind has.
    """
    rewound = _rewound(request.new_events)
    past = request.past_events
    dropped = _dropped(past, last_turn_only=last_turn_only)
    run = _new_run(request)
    kept = [
        _restarted(event, rewound, run, request.instance_id) if event.execution_started else event
        for index, event in enumerate(past)
        if index not in dropped and event.execution_completed is None
    ]
    return kept + request.new_events


def sections_cut_off(past: Sequence[messages.HistoryEvent]) -> list[str]:
    """The entities of the critical sections that the failure ended, whose locks are lost.

    The turn that failed gave them back, or the engine did. Code that went on from there
    would run the rest of the section while others are in it.
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
    """The action that puts that history in the place of the one there is."""
    from durabletask.protocol import messages

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
    """Where the calls lie that failed in the end, later than `since`: what to drop of them."""
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
        # Of several answers the first one counts; the others go where it goes.
        if not found or found[0] < since or which(past[found[0]]) not in _FAILED:
            continue
        yield from found
        if past[asked[number]].task_scheduled is not None:
            yield asked[number]


def _new_run(request: messages.OrchestratorRequest) -> str:
    # Made from the turn itself: sent twice, it is answered in the same way.
    at = request.new_events[0].timestamp
    return uuid.uuid5(_NEW_RUN, f"{request.instance_id}/{request.execution_id}/{at}").hex


def _restarted(
    event: messages.HistoryEvent,
    rewound: messages.ExecutionRewoundEvent,
    run: str,
    instance_id: str,
) -> messages.HistoryEvent:
    """The start of the run, told that it is another one."""
    from durabletask.protocol import messages

    started = event.execution_started
    assert started is not None
    instance = started.orchestration_instance or messages.OrchestrationInstance(instance_id)
    parent = started.parent_instance
    if parent is not None and rewound.parent_execution_id:
        whose = parent.orchestration_instance or messages.OrchestrationInstance()
        parent = _changed(
            parent,
            orchestration_instance=_changed(whose, execution_id=rewound.parent_execution_id),
        )
    return _changed(
        event,
        execution_started=_changed(
            started,
            orchestration_instance=_changed(instance, execution_id=run),
            parent_instance=parent,
        ),
    )


def _changed(message: M, **fields: object) -> M:
    """A copy with other values: what came with the request stays as it came."""
    changed = copy.copy(message)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
