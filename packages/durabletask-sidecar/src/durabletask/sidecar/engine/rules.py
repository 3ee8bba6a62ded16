"""The table of the engine's rules: which function carries out which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import (
    commands,
    instances,
    outcome_limits,
    rerun,
    results,
    rewind,
    starting,
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
    commands.StartInstance: starting.start,
    commands.StartChild: starting.start_child,
    commands.StartDetached: starting.start_detached,
    commands.Rerun: rerun.rerun,
    commands.Restart: starting.restart,
    commands.Rewind: rewind.rewind,
    commands.RewindChild: rewind.rewind_child,
    commands.Purge: instances.purge,
    commands.RaiseEvent: instances.raise_event,
    commands.DeliverEvent: instances.deliver_event,
    commands.Suspend: instances.suspend,
    commands.Resume: instances.resume,
    commands.Terminate: instances.terminate,
    commands.CompleteTurn: turns.complete,
    commands.CompleteActivity: results.complete_activity,
    commands.ChildCompleted: results.complete_child,
    commands.EntityCallCompleted: results.complete_call,
    commands.EntityLocked: results.continue_locking,
}


def apply(
    instance: Instance | None,
    instance_id: str,
    command: commands.OrchestrationCommand,
    *,
    now: datetime,
    new_id: Callable[[], str],
    limits: Limits = DEFAULT,
    live_instances: int = 0,
) -> Transition:
    """Return what the command does to the instance, which is not changed.

    `instance` is None when there is none of that id; `live_instances` is how many
    orchestrations of its task hub have not ended. A refusal is the transition's reply, never
    an exception.
    """
    transition = _RULES[type(command)](instance, instance_id, command, now, new_id)
    context = outcome_limits.Context(now, new_id, limits, live_instances)
    return outcome_limits.enforce(instance, instance_id, command, transition, context)
