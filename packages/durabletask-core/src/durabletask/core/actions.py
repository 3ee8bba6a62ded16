"""What an orchestrator can ask of the outside world.

An action is compared with history by number, method and name, and becomes a message only if
history does not hold it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from durabletask.core.payloads import text
from durabletask.failures import RequestedAction
from durabletask.protocol.blanks import blank

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.core.payloads import Payload
    from durabletask.protocol import messages

CALL_ACTIVITY = "call_activity"
CALL_SUB_ORCHESTRATOR = "call_sub_orchestrator"
CREATE_TIMER = "create_timer"
SEND_EVENT = "send_event"


class Action(ABC):
    """One thing the orchestrator asked for.

    `id` is its number. A retried call keeps its action and so its number, as the official SDK's
    histories have it.
    """

    __slots__ = ("id", "name")

    # The context method by which orchestrators ask; error texts name it.
    method: ClassVar[str]

    def __init__(self, id: int, name: str) -> None:
        self.id = id
        self.name = name

    @property
    def target(self) -> str:
        """The instance it addresses, if it names one."""
        return ""

    def is_recorded_as(self, name: str, target: str) -> bool:  # noqa: ARG002  # for subclasses
        """Whether history's account of this method is an account of this action."""
        return self.name == name

    def requested(self) -> RequestedAction:
        """The action as error texts show it."""
        return RequestedAction(self.id, self.method, self.name, self.target)

    def _numbered(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        action = blank(messages.OrchestratorAction)
        action.id = self.id
        return action

    @abstractmethod
    def message(self) -> messages.OrchestratorAction:
        """The action as it travels."""


class ScheduleActivity(Action):
    """Have an activity run."""

    __slots__ = ("_input", "_tags", "_version")
    method = CALL_ACTIVITY

    def __init__(
        self, id: int, name: str, input: Payload, tags: dict[str, str] | None, version: str | None
    ) -> None:
        super().__init__(id, name)
        self._input = input
        self._tags = tags
        self._version = version

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        call = blank(messages.ScheduleTaskAction)
        call.name = self.name
        call.version = self._version
        call.input = text(self._input)
        call.tags.update(self._tags or {})
        action = self._numbered()
        action.schedule_task = call
        return action


class StartChild(Action):
    """Start another orchestration and hear how it ends."""

    __slots__ = ("_input", "_instance_id", "_version")
    method = CALL_SUB_ORCHESTRATOR

    def __init__(
        self, id: int, name: str, input: Payload, instance_id: str, version: str | None
    ) -> None:
        super().__init__(id, name)
        self._input = input
        self._instance_id = instance_id
        self._version = version

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        child = blank(messages.CreateSubOrchestrationAction)
        child.instance_id = self._instance_id
        child.name = self.name
        child.version = self._version
        child.input = text(self._input)
        action = self._numbered()
        action.create_sub_orchestration = child
        return action


class StartTimer(Action):
    """Be woken at a time."""

    __slots__ = ("_fire_at",)
    method = CREATE_TIMER

    def __init__(self, id: int, fire_at: datetime) -> None:
        super().__init__(id, "")
        self._fire_at = fire_at

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        timer = blank(messages.CreateTimerAction)
        timer.fire_at = self._fire_at
        action = self._numbered()
        action.create_timer = timer
        return action


class SendEvent(Action):
    """Raise an event on another instance."""

    __slots__ = ("_data", "_target")
    method = SEND_EVENT

    def __init__(self, id: int, name: str, target: str, data: Payload) -> None:
        super().__init__(id, name)
        self._target = target
        self._data = data

    @property
    def target(self) -> str:
        return self._target

    def is_recorded_as(self, name: str, target: str) -> bool:
        return self.name.casefold() == name.casefold() and self._target == target

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        event = blank(messages.SendEventAction)
        event.instance = blank(messages.OrchestrationInstance)
        event.instance.instance_id = self._target
        event.name = self.name
        event.data = text(self._data)
        action = self._numbered()
        action.send_event = event
        return action
