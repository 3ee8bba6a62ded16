"""The door: an orchestrator request in, a decision out.

    open_machine   an execution, before its first event
    machine.replay what history holds already
    machine.turn   what is new, and what to do about it

A worker keeps the machine and next time replays only what it has not seen, which is what
history has recorded about the last decision.

Two kinds of requests are no turns: `mismatched` answers one whose version the worker may not
run, `rewind` one that takes a failed execution back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durabletask.core import rewind as rewinding
from durabletask.core import versioning
from durabletask.core.decision import Decision, Note
from durabletask.core.ending import Failed, Stalled, ending_action
from durabletask.core.machine import OrchestrationMachine
from durabletask.core.rewind import is_asked as is_rewind
from durabletask.failures import (
    NonDeterminismError,
    OrchestrationStateError,
    details_from_exception,
    qualified_name,
)

if TYPE_CHECKING:
    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.protocol import messages

__all__ = ["decide", "is_rewind", "mismatched", "open_machine", "rewind", "without_version"]


def open_machine(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> OrchestrationMachine:
    """The machine for the request's execution; it has taken no event yet."""
    return OrchestrationMachine(request.instance_id, request.execution_id or "", registry, settings)


def decide(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> Decision:
    """Decide from nothing but the request: a cold start."""
    if is_rewind(request):
        return rewind(request, registry, settings)
    return _replayed(request, request.past_events, request.new_events, registry, settings)


def mismatched(instance_id: str, why: str) -> Decision:
    """The orchestration failed, for no worker may run its version."""
    from durabletask.protocol import messages

    completion = messages.CompleteOrchestrationAction(
        orchestration_status=messages.OrchestrationStatus.FAILED,
        failure_details=messages.TaskFailureDetails(
            # Called again, it would have the same version.
            error_type=versioning.MISMATCH,
            error_message=why,
            is_non_retriable=True,
        ),
    )
    # -1: the end was not asked for by user code.
    action = messages.OrchestratorAction(id=-1, complete_orchestration=completion)
    note = Note(logging.WARNING, f"orchestration '{instance_id}' failed: {why}")
    return Decision(actions=(action,), ended=True, notes=(note,))


def without_version() -> Decision:
    """The worker may not run that version: an engine that knows of versions waits for another."""
    return Decision(actions=(ending_action(-1, Stalled()),), ended=True)


def rewind(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> Decision:
    """Take an execution that failed back to where what failed is asked for anew.

    All that failed is forgotten, if the code then still asks for what history holds. It does
    not where it had survived a failure and went on to something else: then only the last turn
    is taken back.
    """
    locked = rewinding.sections_cut_off(request.past_events)
    if locked:
        return _stays_failed(request.instance_id, locked)
    history = rewinding.rewritten(request)
    if not _agrees(request, history, registry, settings):
        history = rewinding.rewritten(request, last_turn_only=True)
    reason = request.new_events[-1].execution_rewound.reason  # type: ignore[union-attr] # is_rewind
    note = f"orchestration '{request.instance_id}' is rewound{f': {reason}' if reason else ''}"
    return Decision(
        actions=(rewinding.rewind_action(history),),
        ended=True,
        notes=(Note(logging.INFO, note),),
    )


def _stays_failed(instance_id: str, locked: list[str]) -> Decision:
    """Say why the execution cannot be taken back."""
    error = OrchestrationStateError(
        f"orchestration '{instance_id}' cannot be rewound: it failed inside a critical section, "
        f"and others may have used {', '.join(locked)} since. Restart it instead, or leave the "
        "section before what may fail."
    )
    details = details_from_exception(error)
    action = ending_action(-1, Failed(details))
    return Decision(actions=(action,), ended=True, notes=(Note(logging.WARNING, str(error)),))


def _agrees(
    request: messages.OrchestratorRequest,
    history: list[messages.HistoryEvent],
    registry: Registry,
    settings: Settings,
) -> bool:
    """Whether the code asks for what that history holds."""
    decision = _replayed(request, history, [], registry, settings)
    end = decision.actions[-1].complete_orchestration if decision.ended else None
    failure = end.failure_details if end is not None else None
    return failure is None or failure.error_type != qualified_name(NonDeterminismError)


def _replayed(
    request: messages.OrchestratorRequest,
    past: list[messages.HistoryEvent],
    new: list[messages.HistoryEvent],
    registry: Registry,
    settings: Settings,
) -> Decision:
    machine = open_machine(request, registry, settings)
    try:
        machine.replay(past)
        return machine.turn(new)
    finally:
        machine.close()
