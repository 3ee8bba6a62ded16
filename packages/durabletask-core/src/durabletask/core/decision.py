"""What a turn decided: a value that holds everything there is to commit.

Knows nothing about how it came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from durabletask.protocol import messages


@dataclass(frozen=True, slots=True)
class Note:
    """Something to log; `level` is one of `logging`'s."""

    level: int
    text: str


class HasInstanceId(Protocol):
    """An orchestrator request, or the machine that was opened for it."""

    @property
    def instance_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one orchestrator request.

    `actions` are all that history does not hold yet, in the order they were asked for, the
    end of the orchestration last. `custom_status` is what to show from now on, None for
    nothing. `ended` means that no further turn of this execution will come: it has completed,
    failed, been terminated or continued as new, and its machine is closed; or that it needs
    code which this worker has not. `version_name` and `patches` tell which code took the turn,
    for engines that record it.
    """

    actions: tuple[messages.OrchestratorAction, ...] = ()
    custom_status: str | None = None
    ended: bool = False
    notes: tuple[Note, ...] = ()
    version_name: str | None = None
    patches: tuple[str, ...] = ()

    @property
    def is_versioned(self) -> bool:
        """Whether an engine that can will record with the turn which code took it."""
        return bool(self.version_name or self.patches)

    def response(
        self, request: HasInstanceId, completion_token: str
    ) -> messages.OrchestratorResponse:
        """The decision as the message that completes the request."""
        from durabletask.protocol import messages

        version = None
        if self.is_versioned:
            version = messages.OrchestrationVersion(
                patches=list(self.patches), name=self.version_name
            )
        return messages.OrchestratorResponse(
            instance_id=request.instance_id,
            actions=list(self.actions),
            custom_status=self.custom_status,
            completion_token=completion_token,
            version=version,
        )
