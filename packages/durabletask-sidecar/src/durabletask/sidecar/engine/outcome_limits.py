"""Enforce the limits that only the outcome of a command shows.

* A client that starts one orchestration too many is refused.
* A parent is told that its child was not started.
* A fire-and-forget orchestration that may not start is created as a failed one, so that
  somebody who looks for it finds the reason.
* An orchestration whose history becomes too long fails, and its last turn does nothing else.
  Ending and continuing as new are always allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol import messages

from . import command_limits, commands, completion, limits, turns
from .failure_details import fail_orchestration
from .results import report_to_parent
from .state import blank
from .transition import Exhausted, Transition, refuse
from .transition_builder import TransitionBuilder

if TYPE_CHECKING:
    from datetime import datetime

    from .commands import CompleteTurn, OrchestrationCommand, StartChild
    from .limits import Limits
    from .state import Instance


class Context(NamedTuple):
    """What a command is carried out with, besides its instance."""

    now: datetime
    new_id: Callable[[], str]
    limits: Limits
    live_instances: int
    """Orchestrations of the task hub that have not ended."""

    def instances_error(self) -> str | None:
        """Why one more orchestration is too many; None when it is not."""
        limit = self.limits.exceeded("instances", self.live_instances + 1)
        if limit is None:
            return None
        found = f"{self.live_instances} orchestrations of this task hub have not ended"
        advice = "Try again when some of them have, or raise the limit."
        return limits.error_text(found, limit, "instances", advice)


# (the instance before, its id, the command, the transition of its rule, the context) -> that
# transition, or the one that takes its place because it would exceed a limit
OutcomeLimit = Callable[["Instance | None", str, Any, Transition, Context], Transition]


def enforce(
    instance: Instance | None,
    instance_id: str,
    command: OrchestrationCommand,
    transition: Transition,
    context: Context,
) -> Transition:
    """The transition, or the one that takes its place because it would exceed a limit."""
    outcome_limit = _OUTCOME_LIMITS.get(type(command))
    if outcome_limit is None:
        return transition
    return outcome_limit(instance, instance_id, command, transition, context)


def _refuse_start(
    instance: Instance | None,
    _instance_id: str,
    _command: object,
    transition: Transition,
    context: Context,
) -> Transition:
    error = context.instances_error()
    if error is None or not _adds_live_instance(instance, transition):
        return transition
    return refuse(Exhausted(error))


def _adds_live_instance(instance: Instance | None, transition: Transition) -> bool:
    """Whether there is one more live orchestration afterwards."""
    if any(isinstance(each.command, commands.StartInstance) for each in transition.follow_ups):
        return True  # one that is restarted under another id
    was_live = instance is not None and instance.is_live
    return transition.progress is not None and not was_live


def _report_start_failure(
    instance: Instance | None,
    instance_id: str,
    command: StartChild,
    transition: Transition,
    context: Context,
) -> Transition:
    failure = _start_failure(instance, instance_id, transition, context)
    if failure is None:
        return transition
    return Transition(follow_ups=(report_to_parent(command.parent, instance_id, failure=failure),))


def _create_failed(
    instance: Instance | None,
    instance_id: str,
    _command: object,
    transition: Transition,
    context: Context,
) -> Transition:
    """Create the instance as one that has failed, for whoever looks for it."""
    failure = _start_failure(instance, instance_id, transition, context)
    if failure is None:
        return transition
    started = blank(instance_id, transition)
    builder = TransitionBuilder(started, context.now)
    builder.record_encoded(row.event for row in transition.inbox_add)
    failed = messages.OrchestrationStatus.FAILED
    ended = completion.complete(builder, failed, failure=failure, event_id=-1)
    # The replaced instance has ended: nobody has to be told of that.
    return ended._replace(origin=transition.origin)


def _start_failure(
    instance: Instance | None, instance_id: str, transition: Transition, context: Context
) -> messages.TaskFailureDetails | None:
    """Why the orchestration that another instance starts may not start; None when it may.

    None also when the transition starts none.
    """
    if not _adds_live_instance(instance, transition):
        return None
    error = command_limits.id_length_error(instance_id, context.limits)
    if error is not None:
        return messages.TaskFailureDetails(
            error_type="InvalidArgument", error_message=f"Orchestration not started: {error}"
        )
    error = context.instances_error()
    if error is None:
        return None
    # May be retried: other orchestrations end in the meantime.
    return messages.TaskFailureDetails(
        error_type="TooManyInstances",
        error_message=f"The orchestration '{instance_id}' was not started: {error}",
    )


def _fail_too_long_history(
    instance: Instance | None,
    instance_id: str,
    command: CompleteTurn,
    transition: Transition,
    context: Context,
) -> Transition:
    error = _history_error(instance_id, transition, context.limits)
    if error is None:
        return transition
    failure = messages.TaskFailureDetails(
        error_type="HistoryTooLong", error_message=error, is_non_retriable=True
    )
    failing = replace(command, actions=[fail_orchestration(failure)])
    return turns.complete(instance, instance_id, failing, context.now, context.new_id)


def _history_error(instance_id: str, transition: Transition, among: Limits) -> str | None:
    progress = transition.progress
    if progress is None or progress.is_terminal or transition.origin is not None:
        return None
    for name, value, unit in (
        ("history_events", progress.history_length, "events"),
        ("history_bytes", progress.history_bytes, "bytes"),
    ):
        limit = among.exceeded(name, value)
        if limit is not None:
            found = f"The history of '{instance_id}' would have {value} {unit} after this turn"
            return limits.error_text(found, limit, name, _ADVICE)
    return None


_ADVICE = (
    "Let the orchestration continue as new before it is that long, divide its work among "
    "sub-orchestrations, or raise the limit."
)

_OUTCOME_LIMITS: dict[type, OutcomeLimit] = {
    commands.StartInstance: _refuse_start,
    commands.Rerun: _refuse_start,
    commands.Restart: _refuse_start,
    commands.Rewind: _refuse_start,
    commands.StartChild: _report_start_failure,
    commands.StartDetached: _create_failed,
    commands.CompleteTurn: _fail_too_long_history,
}
