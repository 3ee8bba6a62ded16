"""What a turn decided, with all that is to be committed and logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from durabletask.protocol import messages
from durabletask.protocol.blank_messages import blank

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A sentence to log about an orchestration; `level` is one of `logging`'s.

    `fields` are more fields to log with it, and `error` is the exception whose traceback is
    logged; both may be None.
    """

    level: int
    text: str
    instance_id: str
    task_name: str | None = None
    fields: Mapping[str, object] | None = None
    error: BaseException | None = None

    @property
    def extra(self) -> dict[str, object]:
        """The fields to log with it."""
        extra: dict[str, object] = {"instance_id": self.instance_id}
        if self.task_name:
            extra["task_name"] = self.task_name
        return {**extra, **(self.fields or {})}


class HasInstanceId(Protocol):
    """An orchestrator request, or the machine that was opened for it."""

    @property
    def instance_id(self) -> str: ...


# Not frozen, as that would triple the time to make one, and each work item makes some. None is
# changed once it is made.
@dataclass(slots=True)
class Decision:
    """The answer to one orchestrator request.

    `actions` are all that history does not hold yet, in the order they were asked for, the
    end of the orchestration last. `custom_status` is the status to show from now on, None for
    no status. `ended` means that no further turn of this execution will come: it has completed,
    failed, been terminated or continued as new, and its machine is closed; or that it needs
    code which this worker does not have. `version_name` and `patches` tell which code took the
    turn, for engines that record it.
    """

    actions: tuple[messages.OrchestratorAction, ...] = ()
    custom_status: str | None = None
    ended: bool = False
    log_entries: tuple[LogEntry, ...] = ()
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
        response = blank(messages.OrchestratorResponse)
        response.instance_id = request.instance_id
        response.actions = list(self.actions)
        response.custom_status = self.custom_status
        response.completion_token = completion_token
        if self.is_versioned:
            response.version = messages.OrchestrationVersion(
                patches=list(self.patches), name=self.version_name
            )
        return response
