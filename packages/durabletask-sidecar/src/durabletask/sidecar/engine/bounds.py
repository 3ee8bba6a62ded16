"""What a rule has decided, held to the limits that only its outcome shows.

A client whose orchestration there is no room for is refused. A parent is told that its
child was not started. What nobody waits for must not vanish: it is there, and has failed.
An orchestration that outgrows its history fails, and its last turn does nothing else.
Those that end, or continue as new, may do it however long they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol import messages

from . import admission, commands, endings, limits, turns
from .draft import Draft
from .state import blank
from .transition import Exhausted, Transition, refuse

if TYPE_CHECKING:
    from datetime import datetime

    from .commands import CompleteTurn, StartChild
    from .limits import Limits
    from .state import Instance


class Surroundings(NamedTuple):
    """What a command is carried out in, besides its instance."""

    now: datetime
    new_id: Callable[[], str]
    limits: Limits
    alive: int
    """Orchestrations of the task hub that have not ended."""

    def crowding(self) -> str | None:
        """Why there can be no more orchestrations; None when there can."""
        limit = self.limits.exceeded("instances", self.alive + 1)
        if limit is None:
            return None
        found = f"{self.alive} orchestrations of this task hub have not ended"
        advice = "Try again when some of them have, or raise the limit."
        return limits.complaint(found, limit, "instances", advice)


# (the instance before, its id, the command, what its rule decided, the surroundings) -> that
# decision, or the one that takes its place because it would break a limit
Bound = Callable[["Instance | None", str, Any, Transition, Surroundings], Transition]


def _refuse_one_too_many(
    instance: Instance | None,
    _instance_id: str,
    _command: object,
    transition: Transition,
    around: Surroundings,
) -> Transition:
    crowding = around.crowding()
    if crowding is None or not _adds_one(instance, transition):
        return transition
    return refuse(Exhausted(crowding))


def _adds_one(instance: Instance | None, transition: Transition) -> bool:
    """Whether one more orchestration is alive afterwards."""
    if any(isinstance(each.command, commands.StartInstance) for each in transition.follow_ups):
        return True  # one that is restarted under another id
    was_live = instance is not None and instance.is_live
    return transition.progress is not None and not was_live


def _fail_child(
    instance: Instance | None,
    instance_id: str,
    command: StartChild,
    transition: Transition,
    around: Surroundings,
) -> Transition:
    failure = _unwanted(instance, instance_id, transition, around)
    if failure is None:
        return transition
    return Transition(follow_ups=(endings.report(command.parent, instance_id, failure=failure),))


def _fail_unheard(
    instance: Instance | None,
    instance_id: str,
    _command: object,
    transition: Transition,
    around: Surroundings,
) -> Transition:
    """Make an instance that has failed, for whoever looks for it."""
    failure = _unwanted(instance, instance_id, transition, around)
    if failure is None:
        return transition
    begun = blank(instance_id, transition)
    draft = Draft(begun, around.now)
    draft.record_encoded(row.event for row in transition.inbox_add)
    ended = endings.end(draft, messages.OrchestrationStatus.FAILED, failure=failure, event_id=-1)
    # What it replaces has ended, and nobody has to hear of it.
    return ended._replace(origin=transition.origin)


def _unwanted(
    instance: Instance | None, instance_id: str, transition: Transition, around: Surroundings
) -> messages.TaskFailureDetails | None:
    """Why the orchestration that another instance starts cannot be; None when it can.

    Nor is there a reason where the transition starts none.
    """
    if not _adds_one(instance, transition):
        return None
    complaint = admission.id_complaint(instance_id, around.limits)
    if complaint is not None:
        return messages.TaskFailureDetails(
            error_type="InvalidArgument", error_message=f"Orchestration not started: {complaint}"
        )
    crowding = around.crowding()
    if crowding is None:
        return None
    # To be tried again: there may be room then.
    return messages.TaskFailureDetails(
        error_type="TooManyInstances",
        error_message=f"The orchestration '{instance_id}' was not started: {crowding}",
    )


def _end_what_outgrows(
    instance: Instance | None,
    instance_id: str,
    command: CompleteTurn,
    transition: Transition,
    around: Surroundings,
) -> Transition:
    complaint = _too_long(instance_id, command, transition, around.limits)
    if complaint is None:
        return transition
    failure = messages.TaskFailureDetails(
        error_type="HistoryTooLong", error_message=complaint, is_non_retriable=True
    )
    failing = replace(command, actions=[endings.failing(failure)])
    return turns.complete(instance, instance_id, failing, around.now, around.new_id)


def _too_long(
    instance_id: str, command: CompleteTurn, transition: Transition, among: Limits
) -> str | None:
    progress = transition.progress
    if progress is None or progress.is_terminal or transition.origin is not None:
        return None
    events = progress.history_length
    size = command.turn.generation_bytes + sum(map(_stored_size, transition.events))
    for name, value, unit in (
        ("history_events", events, "events"),
        ("history_bytes", size, "bytes"),
    ):
        limit = among.exceeded(name, value)
        if limit is not None:
            found = f"The history of '{instance_id}' would have {value} {unit} after this turn"
            return limits.complaint(found, limit, name, _ADVICE)
    return None


def _stored_size(event: bytes) -> int:
    """Bytes of an event in a history, where a tag and its length stand before it."""
    return 1 + (len(event).bit_length() + 6) // 7 + len(event)


_ADVICE = (
    "Let the orchestration continue as new before it is that long, divide its work among "
    "sub-orchestrations, or raise the limit."
)

BOUNDS: dict[type, Bound] = {
    commands.StartInstance: _refuse_one_too_many,
    commands.StartFrom: _refuse_one_too_many,
    commands.Restart: _refuse_one_too_many,
    commands.Rewind: _refuse_one_too_many,
    commands.StartChild: _fail_child,
    commands.StartDetached: _fail_unheard,
    commands.CompleteTurn: _end_what_outgrows,
}
