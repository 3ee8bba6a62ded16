"""What an orchestrator can ask the engine for, one function for each kind of action.

An action is compared with history by id, kind, name and target. It becomes a message, which
may mean serializing its payload, only if history does not hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from durabletask.failures import RequestedAction
from durabletask.protocol import messages
from durabletask.protocol.blank_messages import blank
from durabletask.serialization.checks import serialized

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.serialization import DataConverter

# Text, or what makes it: see `payload`.
Payload: TypeAlias = str | Callable[[], str | None] | None

_SMALL = 2**63


# The method of the context by which orchestrators ask for an action.
# Not an Enum: a replay compares kinds for every event, and on Python 3.11 a member of an Enum
# takes as long to look up as an action to make.
ActionKind: TypeAlias = Literal[
    "call_activity",
    "call_sub_orchestrator",
    "create_timer",
    "send_event",
    "call_entity",
    "signal_entity",
    "lock_entities",
    "unlock_entities",
]

CALL_ACTIVITY: Final = "call_activity"
CALL_SUB_ORCHESTRATOR: Final = "call_sub_orchestrator"
CREATE_TIMER: Final = "create_timer"
SEND_EVENT: Final = "send_event"
CALL_ENTITY: Final = "call_entity"
SIGNAL_ENTITY: Final = "signal_entity"
LOCK_ENTITIES: Final = "lock_entities"
UNLOCK_ENTITIES: Final = "unlock_entities"


class TimerOrigin(NamedTuple):
    """What a timer is for: a member of `CreateTimerAction.origin`, and the one text it holds."""

    member: str
    text: str = ""


CREATED_BY_CODE = TimerOrigin("create_timer")


@dataclass(slots=True, eq=False)
class Action:
    """One thing the orchestrator asked for.

    `write` sets the member of the message that holds what is asked for. `target` is the
    instance it addresses, if it names one; `call_id` is what all attempts of a call have in
    common, on engines that record such an id.
    """

    id: int
    kind: ActionKind
    name: str
    write: Callable[[messages.OrchestratorAction], None]
    target: str = ""
    call_id: str = ""

    @property
    def survives_failure(self) -> bool:
        """Whether it is sent even if the orchestration has failed or been terminated since."""
        return self.kind == UNLOCK_ENTITIES

    @property
    def retry_origin(self) -> TimerOrigin:
        """What a timer is for that delays the next attempt of this call."""
        is_activity = self.kind == CALL_ACTIVITY
        return TimerOrigin(
            "activity_retry" if is_activity else "sub_orchestration_retry", self.call_id
        )

    def is_recorded_as(self, name: str, target: str) -> bool:
        """Whether an event that records an action of this kind, with that name, records this."""
        if self.kind == SEND_EVENT:
            return self.name.casefold() == name.casefold() and self.target == target
        # Engines need not record the target of a message to an entity.
        return self.name == name and (not target or self.target == target)

    def with_id(self, id: int) -> Action:
        """The same action under another id."""
        again = copy(self)
        again.id = id
        return again

    def with_instance_id(self, instance_id: str) -> Action:
        """The same call of a sub-orchestration under another instance id."""
        write_first = self.write

        def write(action: messages.OrchestratorAction) -> None:
            write_first(action)
            assert action.create_sub_orchestration is not None
            action.create_sub_orchestration.instance_id = instance_id

        again = copy(self)
        again.write, again.call_id = write, instance_id
        return again

    def requested(self) -> RequestedAction:
        """The action as error texts show it."""
        return RequestedAction(self.id, self.kind, self.name, self.target)

    def message(self) -> messages.OrchestratorAction:
        """The action as it is sent. Raises what serializing its payload raises."""
        action = blank(messages.OrchestratorAction)
        action.id = self.id
        self.write(action)
        return action


def call_activity(
    id: int,
    name: str,
    input: Payload,
    *,
    tags: dict[str, str] | None = None,
    call_id: str = "",
) -> Action:
    """Have an activity run."""

    def write(action: messages.OrchestratorAction) -> None:
        task = blank(messages.ScheduleTaskAction)
        task.name = name
        task.task_execution_id = call_id
        task.input = text(input)
        task.tags.update(tags or {})
        action.schedule_task = task

    return Action(id, CALL_ACTIVITY, name, write, "", call_id)


def call_sub_orchestrator(
    id: int, name: str, input: Payload, *, instance_id: str, version: str | None
) -> Action:
    """Start another orchestration, whose outcome is awaited."""

    def write(action: messages.OrchestratorAction) -> None:
        child = blank(messages.CreateSubOrchestrationAction)
        child.instance_id = instance_id
        child.name = name
        child.version = version
        child.input = text(input)
        action.create_sub_orchestration = child

    return Action(id, CALL_SUB_ORCHESTRATOR, name, write, call_id=instance_id)


def create_timer(id: int, fire_at: datetime, origin: TimerOrigin | None = None) -> Action:
    """Fire at a time; `origin` is None for engines that do not record it."""

    def write(action: messages.OrchestratorAction) -> None:
        timer = blank(messages.CreateTimerAction)
        timer.fire_at = fire_at
        if origin is not None:
            _write_origin(timer, origin)
        action.create_timer = timer

    return Action(id, CREATE_TIMER, "", write)


def _write_origin(timer: messages.CreateTimerAction, origin: TimerOrigin) -> None:
    match origin:
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


def send_event(id: int, name: str, target: str, data: Payload) -> Action:
    """Raise an event on another instance."""

    def write(action: messages.OrchestratorAction) -> None:
        event = blank(messages.SendEventAction)
        event.instance = blank(messages.OrchestrationInstance)
        event.instance.instance_id = target
        event.name = name
        event.data = text(data)
        action.send_event = event

    return Action(id, SEND_EVENT, name, write, target=target)


def call_entity(
    id: int, operation: str, target: str, input: Payload, *, request_id: str, parent: str
) -> Action:
    """Have an entity perform an operation, whose outcome is awaited."""

    def write(action: messages.OrchestratorAction) -> None:
        called = blank(messages.EntityOperationCalledEvent)
        called.request_id = request_id
        called.operation = operation
        called.input = text(input)
        called.parent_instance_id = parent
        called.target_instance_id = target
        _entity_message(action).entity_operation_called = called

    return Action(id, CALL_ENTITY, operation, write, target=target, call_id=request_id)


def signal_entity(
    id: int, operation: str, target: str, input: Payload, *, request_id: str, due: datetime | None
) -> Action:
    """Have an entity perform an operation, whose outcome is not awaited."""

    def write(action: messages.OrchestratorAction) -> None:
        signaled = blank(messages.EntityOperationSignaledEvent)
        signaled.request_id = request_id
        signaled.operation = operation
        signaled.scheduled_time = due
        signaled.input = text(input)
        signaled.target_instance_id = target
        _entity_message(action).entity_operation_signaled = signaled

    return Action(id, SIGNAL_ENTITY, operation, write, target=target)


def lock_entities(id: int, section_id: str, locks: list[str], parent: str) -> Action:
    """Lock entities for a critical section."""

    def write(action: messages.OrchestratorAction) -> None:
        requested = blank(messages.EntityLockRequestedEvent)
        requested.critical_section_id = section_id
        requested.lock_set = list(locks)
        requested.parent_instance_id = parent
        _entity_message(action).entity_lock_requested = requested

    return Action(id, LOCK_ENTITIES, "", write, target=", ".join(locks))


def unlock_entity(id: int, section_id: str, target: str, parent: str) -> Action:
    """Unlock one entity of a critical section; the action's name is the section's id."""

    def write(action: messages.OrchestratorAction) -> None:
        unlock = blank(messages.EntityUnlockSentEvent)
        unlock.critical_section_id = section_id
        unlock.parent_instance_id = parent
        unlock.target_instance_id = target
        _entity_message(action).entity_unlock_sent = unlock

    return Action(id, UNLOCK_ENTITIES, section_id, write, target=target)


def _entity_message(action: messages.OrchestratorAction) -> messages.SendEntityMessageAction:
    action.send_entity_message = blank(messages.SendEntityMessageAction)
    return action.send_entity_message


def payload(value: Any, converter: DataConverter, *, replaying: bool) -> Payload:
    """The value as text, now or, where that makes no visible difference, only if needed.

    During replay nearly every payload is in history already. But serializing may raise at the
    place of the call, where the code may catch it, and a value may be changed after the call:
    so only what cannot do either is serialized later.
    """
    if value is None:
        return None
    if replaying and _is_plain(value):
        return partial(serialized, value, converter)
    return serialized(value, converter)


def text(content: Payload) -> str | None:
    """The payload as it is sent."""
    return content() if callable(content) else content


def _is_plain(value: Any) -> bool:
    kind = type(value)
    # Not float: a converter may refuse NaN. Not every int: Python refuses to print the largest.
    return kind is str or kind is bool or (kind is int and -_SMALL <= value < _SMALL)
