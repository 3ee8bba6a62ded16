"""What an orchestrator can ask of the outside world.

An action is compared with history by number, method and name, and becomes a message only if
history does not hold it.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

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
CALL_ENTITY = "call_entity"
SIGNAL_ENTITY = "signal_entity"
LOCK_ENTITIES = "lock_entities"
UNLOCK_ENTITIES = "unlock_entities"


class TimerOrigin(NamedTuple):
    """What a timer is for: a member of `CreateTimerAction.origin`, and the one text it holds."""

    member: str
    text: str = ""


BY_CODE = TimerOrigin("create_timer")


class Action(ABC):
    """One thing the orchestrator asked for; `id` is its number."""

    __slots__ = ("id", "name")

    # The context method by which orchestrators ask; error texts name it.
    method: ClassVar[str]
    # Sent even if the orchestration has failed or been terminated meanwhile.
    is_owed: ClassVar[bool] = False

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

    def under(self, number: int) -> Self:
        """The same thing asked for under another number."""
        again = copy.copy(self)
        again.id = number
        return again

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


class CallAction(Action):
    """Have something run elsewhere and hear how it ends."""

    __slots__ = ()

    @property
    def execution_id(self) -> str:
        """What all attempts of the call have in common, on engines that tell it; else empty."""
        return ""

    @property
    @abstractmethod
    def retry_origin(self) -> TimerOrigin:
        """What a timer is for that delays its next attempt."""


class ScheduleActivity(CallAction):
    """Have an activity run."""

    __slots__ = ("_execution_id", "_input", "_tags", "_version")
    method = CALL_ACTIVITY

    def __init__(
        self,
        id: int,
        name: str,
        input: Payload,
        tags: dict[str, str] | None,
        version: str | None,
        *,
        execution_id: str = "",
    ) -> None:
        super().__init__(id, name)
        self._execution_id = execution_id
        self._input = input
        self._tags = tags
        self._version = version

    @property
    def execution_id(self) -> str:
        return self._execution_id

    @property
    def retry_origin(self) -> TimerOrigin:
        return TimerOrigin("activity_retry", self._execution_id)

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        call = blank(messages.ScheduleTaskAction)
        call.name = self.name
        call.version = self._version
        call.task_execution_id = self._execution_id
        call.input = text(self._input)
        call.tags.update(self._tags or {})
        action = self._numbered()
        action.schedule_task = call
        return action


class StartChild(CallAction):
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

    @property
    def retry_origin(self) -> TimerOrigin:
        return TimerOrigin("sub_orchestration_retry", self._instance_id)

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
    """Be woken at a time; `origin` is None for engines that do not keep it."""

    __slots__ = ("_fire_at", "_origin")
    method = CREATE_TIMER

    def __init__(self, id: int, fire_at: datetime, origin: TimerOrigin | None = None) -> None:
        super().__init__(id, "")
        self._fire_at = fire_at
        self._origin = origin

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        timer = blank(messages.CreateTimerAction)
        timer.fire_at = self._fire_at
        match self._origin:
            case ("create_timer", _):
                timer.create_timer = messages.TimerOriginCreateTimer()
            case ("external_event", name):
                timer.external_event = messages.TimerOriginExternalEvent(name=name)
            case ("activity_retry", id):
                timer.activity_retry = messages.TimerOriginActivityRetry(task_execution_id=id)
            case ("sub_orchestration_retry", id):
                timer.sub_orchestration_retry = messages.TimerOriginSubOrchestrationRetry(
                    instance_id=id
                )
            case _:
                pass
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


class EntityAction(Action):
    """A message to an entity."""

    __slots__ = ()

    def is_recorded_as(self, name: str, target: str) -> bool:
        # Engines need not tell the target: on its way to the entity the message has none.
        return self.name == name and target in {"", self.target}

    def message(self) -> messages.OrchestratorAction:
        from durabletask.protocol import messages

        action = self._numbered()
        action.send_entity_message = blank(messages.SendEntityMessageAction)
        self._write(action.send_entity_message)
        return action

    @abstractmethod
    def _write(self, sent: messages.SendEntityMessageAction) -> None:
        """Put into the message what is sent."""


class CallEntity(EntityAction):
    """Have an entity perform an operation and hear what comes of it."""

    __slots__ = ("_input", "_parent", "_target", "request_id")
    method = CALL_ENTITY

    def __init__(
        self, id: int, name: str, target: str, input: Payload, *, request_id: str, parent: str
    ) -> None:
        super().__init__(id, name)
        self.request_id = request_id
        self._target = target
        self._input = input
        self._parent = parent

    @property
    def target(self) -> str:
        return self._target

    def _write(self, sent: messages.SendEntityMessageAction) -> None:
        from durabletask.protocol import messages

        called = blank(messages.EntityOperationCalledEvent)
        called.request_id = self.request_id
        called.operation = self.name
        called.input = text(self._input)
        called.parent_instance_id = self._parent
        called.target_instance_id = self._target
        sent.entity_operation_called = called


class SignalEntity(EntityAction):
    """Have an entity perform an operation, and no more about it."""

    __slots__ = ("_due", "_input", "_request_id", "_target")
    method = SIGNAL_ENTITY

    def __init__(
        self,
        id: int,
        name: str,
        target: str,
        input: Payload,
        *,
        request_id: str,
        due: datetime | None,
    ) -> None:
        super().__init__(id, name)
        self._target = target
        self._input = input
        self._request_id = request_id
        self._due = due

    @property
    def target(self) -> str:
        return self._target

    def _write(self, sent: messages.SendEntityMessageAction) -> None:
        from durabletask.protocol import messages

        signaled = blank(messages.EntityOperationSignaledEvent)
        signaled.request_id = self._request_id
        signaled.operation = self.name
        signaled.scheduled_time = self._due
        signaled.input = text(self._input)
        signaled.target_instance_id = self._target
        sent.entity_operation_signaled = signaled


class LockEntities(EntityAction):
    """Have entities for oneself."""

    __slots__ = ("_locks", "_parent", "_section_id")
    method = LOCK_ENTITIES

    def __init__(self, id: int, section_id: str, locks: list[str], parent: str) -> None:
        super().__init__(id, "")
        self._section_id = section_id
        self._locks = locks
        self._parent = parent

    @property
    def target(self) -> str:
        return ", ".join(self._locks)

    def _write(self, sent: messages.SendEntityMessageAction) -> None:
        from durabletask.protocol import messages

        requested = blank(messages.EntityLockRequestedEvent)
        requested.critical_section_id = self._section_id
        requested.lock_set = list(self._locks)
        requested.parent_instance_id = self._parent
        sent.entity_lock_requested = requested


class UnlockEntity(EntityAction):
    """Give one entity of a section free; its name is the section's id."""

    __slots__ = ("_parent", "_target")
    method = UNLOCK_ENTITIES
    is_owed = True

    def __init__(self, id: int, section_id: str, target: str, parent: str) -> None:
        super().__init__(id, section_id)
        self._target = target
        self._parent = parent

    @property
    def target(self) -> str:
        return self._target

    def _write(self, sent: messages.SendEntityMessageAction) -> None:
        from durabletask.protocol import messages

        unlock = blank(messages.EntityUnlockSentEvent)
        unlock.critical_section_id = self.name
        unlock.parent_instance_id = self._parent
        unlock.target_instance_id = self._target
        sent.entity_unlock_sent = unlock
