"""Sub-orchestrations: how one begins, and what its parent does with its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import events, messages

from . import endings, instances, outstanding
from .draft import Draft
from .inbox import RowKind
from .transition import NOTHING, FollowUp, Transition

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import ChildFinished, StartChild
    from .state import Instance, ParentLink


def start(
    instance: Instance | None,
    instance_id: str,
    command: StartChild,
    now: datetime,
    new_id: Callable[[], str],
) -> Transition:
    """Create the child. One of that id that has ended gives way: retries reuse the id."""
    if instance is not None and instance.is_live:
        return Transition(follow_ups=(id_is_taken(instance_id, command.parent),))
    return instances.create(instance, instance_id, command.start, now, new_id, command.parent)


def id_is_taken(instance_id: str, parent: ParentLink) -> FollowUp:
    """Tell the parent that its child cannot have the id."""
    failure = messages.TaskFailureDetails(
        error_type="OrchestrationAlreadyExists",
        error_message=f"An orchestration with the id '{instance_id}' is running already. "
        "Give the sub-orchestration another id, or none.",
    )
    return endings.report(parent, instance_id, failure=failure)


def finished(
    instance: Instance | None,
    _instance_id: str,
    command: ChildFinished,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Give the result to the parent, if it is the execution that waits for it."""
    if instance is None or not instance.is_live:
        return NOTHING
    if instance.origin.execution_id != command.parent_execution_id:
        return NOTHING
    row = instance.children.get(command.task_id)
    if row is None or row.child_id != command.child_id:
        return NOTHING
    draft = Draft(instance, now)
    draft.remove_child(command.task_id)
    name = outstanding.child(command.task_id)
    draft.enqueue(RowKind.RESULT, _outcome(command, now), answers=name)
    return draft.finish()


def _outcome(command: ChildFinished, now: datetime) -> messages.HistoryEvent:
    if command.failure is None:
        return events.sub_orchestration_instance_completed(command.task_id, command.result, at=now)
    return events.sub_orchestration_instance_failed(command.task_id, command.failure, at=now)
