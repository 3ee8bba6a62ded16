"""The table of the entities' rules: which function carries out which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import batches, commands, delivery, locks

if TYPE_CHECKING:
    from datetime import datetime

    from .state import Entity, EntityTransition

# (entity or None, its id, the command, now, new_id) -> transition
Rule = Callable[["Entity | None", str, Any, "datetime", Callable[[], str]], "EntityTransition"]

_RULES: dict[type, Rule] = {
    commands.SignalEntity: delivery.signal,
    commands.CallEntity: delivery.call,
    commands.RequestLock: locks.request,
    commands.ReleaseLock: locks.release,
    commands.CompleteBatch: batches.complete,
    commands.PurgeEntity: delivery.purge,
    commands.CleanEntity: delivery.clean,
}


def apply(
    entity: Entity | None,
    entity_id: str,
    command: commands.EntityCommand,
    *,
    now: datetime,
    new_id: Callable[[], str],
) -> EntityTransition:
    """Return what the command does to the entity, which is not changed.

    `entity` is None when there is none of that id.
    """
    return _RULES[type(command)](entity, entity_id, command, now, new_id)
