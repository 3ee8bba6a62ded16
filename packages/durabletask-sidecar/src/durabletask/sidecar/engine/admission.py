"""What is asked from outside, held to the limits before anything is carried out.

    a client's command --> the same, or a refusal
    a worker's answer  --> the same, or one that says what was too large

A client that asks for too much is refused, and nothing has happened. What can never be
is an invalid argument; what may be possible later finds something exhausted.

Knows nothing about what the commands do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import commands, limits, payloads
from .entities import commands as entity_commands
from .entities.state import Entity
from .transition import Exhausted, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from .commands import Command
    from .limits import Limits
    from .state import Instance
    from .transition import Refusal


def admit(
    target: Instance | Entity | None, target_id: str, command: Command, limits: Limits
) -> Command | Refusal:
    """The command as it is to be carried out, or why it is not."""
    answer = _ANSWERS.get(type(command))
    if answer is not None:
        admitted: Command = answer(command, limits)
        return admitted
    return _refusal(target, target_id, command, limits) or command


def _refusal(
    target: Instance | Entity | None, target_id: str, command: Command, limits: Limits
) -> Refusal | None:
    kind = type(command)
    if kind in _PAYLOADS:
        what, field = _PAYLOADS[kind]
        complaint = payloads.complaint([(what, getattr(command, field))], limits)
        if complaint is not None:
            return InvalidArgument(complaint)
    if kind in _CREATING:
        complaint = id_complaint(target_id, limits)
        return None if complaint is None else InvalidArgument(complaint)
    return _full(target, target_id, limits) if kind in _QUEUEING else None


def id_complaint(instance_id: str, among: Limits) -> str | None:
    """Why a new orchestration cannot have an id of that length; None when it can."""
    limit = among.exceeded("id_length", len(instance_id))
    if limit is None:
        return None
    found = f"the instance id has {len(instance_id)} characters"
    return limits.complaint(found, limit, "id_length", "Choose a shorter one.")


def _full(target: Instance | Entity | None, target_id: str, among: Limits) -> Refusal | None:
    if target is None:
        return None
    waiting = len(target.queue) if isinstance(target, Entity) else len(target.inbox)
    limit = among.exceeded("waiting", waiting + 1)
    # What has ended takes no event, and drops it without a word.
    if limit is None or not (isinstance(target, Entity) or target.is_live):
        return None
    found = f"for '{target_id}' wait {waiting} events and messages"
    advice = "Try again when it has caught up, or raise the limit."
    return Exhausted(limits.complaint(found, limit, "waiting", advice))


_ANSWERS: dict[type, Callable[[Any, Limits], Any]] = {
    commands.CompleteActivity: payloads.of_activity,
    commands.CompleteTurn: payloads.of_turn,
    entity_commands.CompleteBatch: payloads.of_batch,
}

_PAYLOADS: dict[type, tuple[str, str]] = {
    commands.StartInstance: ("the input of the orchestration", "input"),
    commands.StartFrom: ("the input of the orchestration", "input"),
    commands.RaiseEvent: ("the input of the event", "input"),
    commands.Suspend: ("the reason", "reason"),
    commands.Resume: ("the reason", "reason"),
    commands.Rewind: ("the reason", "reason"),
    commands.Terminate: ("the output of the termination", "output"),
    entity_commands.SignalEntity: ("the input of the signal", "input"),
}

_CREATING = frozenset({commands.StartInstance, commands.StartFrom})

_QUEUEING = frozenset({commands.RaiseEvent, entity_commands.SignalEntity})
