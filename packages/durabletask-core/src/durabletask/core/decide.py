"""The door: an orchestrator request in, a decision out.

    open_machine   an execution, before its first event
    machine.replay what history holds already
    machine.turn   what is new, and what to do about it

A worker keeps the machine and next time replays only what it has not seen, which is what
history has recorded about the last decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.core.machine import OrchestrationMachine

if TYPE_CHECKING:
    from durabletask.core.decision import Decision
    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.protocol import messages


def open_machine(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> OrchestrationMachine:
    """The machine for the request's execution; it has taken no event yet."""
    return OrchestrationMachine(request.instance_id, request.execution_id or "", registry, settings)


def decide(
    request: messages.OrchestratorRequest, registry: Registry, settings: Settings
) -> Decision:
    """Decide from nothing but the request: a cold start."""
    machine = open_machine(request, registry, settings)
    try:
        machine.replay(request.past_events)
        return machine.turn(request.new_events)
    finally:
        machine.close()
