"""Say whether what a worker answered is a success.

Knows nothing about who wants to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import CompleteTurn

if TYPE_CHECKING:
    from durabletask.sidecar.instrumentation import Completion


def is_failure(completion: Completion) -> bool:
    """Whether the work failed; a turn does when the orchestration fails in it."""
    if isinstance(completion, CompleteTurn):
        return any(_fails(action) for action in completion.actions)
    return completion.failure is not None


def _fails(action: messages.OrchestratorAction) -> bool:
    ending = action.complete_orchestration
    return ending is not None and ending.orchestration_status is messages.OrchestrationStatus.FAILED
