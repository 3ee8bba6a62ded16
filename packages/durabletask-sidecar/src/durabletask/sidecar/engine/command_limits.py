"""Enforce the limits of a command before it is carried out.

    a client's command  --> the same, or a refusal
    a worker's response --> the same, or a failure that says what was too large

A refused command changes nothing. What can never be carried out is an invalid argument; what
may be possible later finds a resource exhausted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import commands, limits, payload_limits
from .entities import commands as entity_commands
from .entities.state import Entity
from .transition import Exhausted, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from .commands import Command
    from .limits import Limits
    from .state import Instance
    from .transition import Refusal


def enforce(
    target: Instance | Entity | None, target_id: str, command: Command, limits: Limits
) -> Command | Refusal:
    """The command as it is to be carried out, or why it is refused.

    `target` is looked at only for a command that `is_limited_by_queue`.
    """
    limit_response = _RESPONSES.get(type(command))
    if limit_response is not None:
        limited: Command = limit_response(command, limits)
        return limited
    return _refusal(target, target_id, command, limits) or command


def is_limited_by_queue(command: Command) -> bool:
    """Whether the command is limited by what waits for its target."""
    return type(command) in _QUEUEING


def _refusal(
    target: Instance | Entity | None, target_id: str, command: Command, limits: Limits
) -> Refusal | None:
    kind = type(command)
    if kind in _PAYLOADS:
        what, field = _PAYLOADS[kind]
        error = payload_limits.payload_error([(what, getattr(command, field))], limits)
        if error is not None:
            return InvalidArgument(error)
    if kind in _CREATING:
        error = id_length_error(target_id, limits)
        return None if error is None else InvalidArgument(error)
    return _queue_error(target, target_id, limits) if kind in _QUEUEING else None


def id_length_error(instance_id: str, among: Limits) -> str | None:
    """Why the id is too long for a new orchestration; None when it is not."""
    limit = among.exceeded("id_length", len(instance_id))
    if limit is None:
        return None
    found = f"the instance id has {len(instance_id)} characters"
    return limits.error_text(found, limit, "id_length", "Choose a shorter one.")


def _queue_error(
    target: Instance | Entity | None, target_id: str, among: Limits
) -> Exhausted | None:
    if target is None:
        return None
    waiting = len(target.queue) if isinstance(target, Entity) else len(target.inbox)
    limit = among.exceeded("waiting", waiting + 1)
    # An instance that has ended drops the event, which is no error.
    if limit is None or not (isinstance(target, Entity) or target.is_live):
        return None
    found = f"'{target_id}' already has {waiting} events and messages queued"
    advice = "Try again when it has caught up, or raise the limit."
    return Exhausted(limits.error_text(found, limit, "waiting", advice))


_RESPONSES: dict[type, Callable[[Any, Limits], Any]] = {
    commands.CompleteActivity: payload_limits.limit_activity,
    commands.CompleteTurn: payload_limits.limit_turn,
    entity_commands.CompleteBatch: payload_limits.limit_batch,
}

_PAYLOADS: dict[type, tuple[str, str]] = {
    commands.StartInstance: ("the input of the orchestration", "input"),
    commands.Rerun: ("the input of the orchestration", "input"),
    commands.RaiseEvent: ("the input of the event", "input"),
    commands.Suspend: ("the reason", "reason"),
    commands.Resume: ("the reason", "reason"),
    commands.Rewind: ("the reason", "reason"),
    commands.Terminate: ("the output of the termination", "output"),
    entity_commands.SignalEntity: ("the input of the signal", "input"),
}

_CREATING = frozenset({commands.StartInstance, commands.Rerun})

_QUEUEING = frozenset({commands.RaiseEvent, entity_commands.SignalEntity})
