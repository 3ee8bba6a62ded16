"""The table of the engine: which rule carries out which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import (
    activities,
    bounds,
    children,
    commands,
    entity_answers,
    instances,
    purging,
    rerunning,
    rewinding,
    turns,
)
from .limits import DEFAULT

if TYPE_CHECKING:
    from datetime import datetime

    from .limits import Limits
    from .state import Instance
    from .transition import Transition

# (instance or None, its id, the command, now, new_id) -> transition
Rule = Callable[["Instance | None", str, Any, "datetime", Callable[[], str]], "Transition"]

_RULES: dict[type, Rule] = {
    commands.StartInstance: instances.start,
    commands.StartChild: children.start,
    commands.StartDetached: instances.start_detached,
    commands.StartFrom: rerunning.start_from,
    commands.Restart: instances.restart,
    commands.Rewind: rewinding.rewind,
    commands.RewindChild: rewinding.rewind_child,
    commands.Purge: purging.purge,
    commands.RaiseEvent: instances.raise_event,
    commands.DeliverEvent: instances.deliver_event,
    commands.Suspend: instances.suspend,
    commands.Resume: instances.resume,
    commands.Terminate: instances.terminate,
    commands.CompleteTurn: turns.complete,
    commands.CompleteActivity: activities.complete,
    commands.ChildFinished: children.finished,
    commands.EntityAnswered: entity_answers.answered,
    commands.EntityLocked: entity_answers.entity_locked,
}


def apply(
    instance: Instance | None,
    instance_id: str,
    command: commands.OrchestrationCommand,
    *,
    now: datetime,
    new_id: Callable[[], str],
    limits: Limits = DEFAULT,
    alive: int = 0,
) -> Transition:
    """Say what the command does; nothing is changed.

    `instance` is None when there is none of that id; `alive` is how many orchestrations of
    its task hub have not ended. Refusals are part of the answer, never exceptions.
    """
    transition = _RULES[type(command)](instance, instance_id, command, now, new_id)
    hold = bounds.BOUNDS.get(type(command))
    if hold is None:
        return transition
    around = bounds.Surroundings(now, new_id, limits, alive)
    return hold(instance, instance_id, command, transition, around)
