"""Answer orchestrator requests: history and new events in, a decision out.

    open_machine      an execution, before its first event
    machine.replay    applies what history holds already
    machine.turn      applies what is new, and decides

A worker keeps the machine and next time replays only what it has not seen: the events that
record the last decision.

Two kinds of requests are not turns. `version_mismatch` and `version_not_available` answer one
whose version the worker may not run, `rewind` one that rewinds a failed execution.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durabletask.core import rewind as rewinding
from durabletask.core import versioning
from durabletask.core.decision import Decision, LogEntry
from durabletask.core.machine import OrchestrationMachine
from durabletask.core.outcome import Failed, Stalled, outcome_action
from durabletask.core.rewind import is_asked as is_rewind
from durabletask.failures import (
    NonDeterminismError,
    OrchestrationStateError,
    details_from_exception,
    qualified_name,
)
from durabletask.protocol import messages

if TYPE_CHECKING:
    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings

__all__ = [
    "decide",
    "is_rewind",
    "open_machine",
    "rewind",
    "version_mismatch",
    "version_not_available",
]


def open_machine(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> OrchestrationMachine:
    """A machine for the request's execution; it has applied no event yet."""
    return OrchestrationMachine(request.instance_id, request.execution_id or "", registry, settings)


def decide(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> Decision:
    """Decide from the request alone, without a machine that was kept."""
    if is_rewind(request):
        return rewind(request, registry, settings)
    return _replayed(request, request.past_events, request.new_events, registry, settings)


def version_mismatch(instance_id: str, reason: str) -> Decision:
    """Fail the orchestration, because no worker may run its version."""
    completion = messages.CompleteOrchestrationAction(
        orchestration_status=messages.OrchestrationStatus.FAILED,
        failure_details=messages.TaskFailureDetails(
            # Called again, it would have the same version.
            error_type=versioning.MISMATCH,
            error_message=reason,
            is_non_retriable=True,
        ),
    )
    # -1: the end was not asked for by user code.
    action = messages.OrchestratorAction(id=-1, complete_orchestration=completion)
    text = f"Orchestration '{instance_id}' failed: {reason}"
    entry = LogEntry(logging.WARNING, text, instance_id)
    return Decision(actions=(action,), ended=True, log_entries=(entry,))


def version_not_available() -> Decision:
    """Leave the orchestration to a worker of its version, on engines that record versions."""
    return Decision(actions=(outcome_action(-1, Stalled()),), ended=True)


def rewind(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> Decision:
    """Rewind a failed execution to where the calls that failed are made again.

    All failures are dropped from history, if the code then still asks for what history holds.
    It does not if it had caught a failure and gone on to something else: then only the last
    turn is rewound.
    """
    locked = rewinding.sections_cut_off(request.past_events)
    if locked:
        return _stays_failed(request.instance_id, locked)
    history = rewinding.rewritten(request)
    if not _agrees(request, history, registry, settings):
        history = rewinding.rewritten(request, last_turn_only=True)
    reason = request.new_events[-1].execution_rewound.reason  # type: ignore[union-attr] # is_rewind
    text = f"Orchestration '{request.instance_id}' is rewound{f': {reason}' if reason else ''}"
    return Decision(
        actions=(rewinding.rewind_action(history),),
        ended=True,
        log_entries=(LogEntry(logging.INFO, text, request.instance_id),),
    )


def _stays_failed(instance_id: str, locked: list[str]) -> Decision:
    """Leave the execution failed, with the reason why it cannot be rewound."""
    error = OrchestrationStateError(
        f"Orchestration '{instance_id}' cannot be rewound: it failed inside a critical section, "
        f"and others may have used {', '.join(locked)} since. Restart it instead, or leave the "
        "section before what may fail."
    )
    details = details_from_exception(error)
    action = outcome_action(-1, Failed(details))
    entry = LogEntry(logging.WARNING, str(error), instance_id)
    return Decision(actions=(action,), ended=True, log_entries=(entry,))


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
