"""Create instances: for callers, as sub-orchestrations, and as fire-and-forget ones.

A new instance may replace another one with its id: one that has ended, or whose status the
caller allows to be replaced. The parent of the replaced instance is told, and its locks are
released.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import ids
from .commands import StartInstance
from .inbox import InboxRow, RowKind
from .results import report_to_parent
from .state import Instance, Origin, ParentLink, Progress
from .transition import (
    NOTHING,
    AlreadyExists,
    FailedPrecondition,
    FollowUp,
    Transition,
    instance_not_found,
    refuse,
)
from .transition_builder import lock_releases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import Restart, StartChild, StartDetached

    NewId = Callable[[], str]


def start(
    instance: Instance | None,
    instance_id: str,
    command: StartInstance,
    now: datetime,
    new_id: NewId,
) -> Transition:
    if instance is not None and _is_repetition(command, instance.origin):
        return NOTHING
    if instance is not None and instance.progress.status not in command.replaceable:
        status = instance.progress.status.name
        text = f"orchestration instance already exists: {instance_id} is {status}"
        return refuse(AlreadyExists(text))
    return create(instance, instance_id, command, now, new_id)


def _is_repetition(command: StartInstance, origin: Origin) -> bool:
    """Whether it repeats the request that created the instance, whose reply was lost."""
    asked = (command.execution_id, command.name, command.input, command.version)
    return asked == (origin.execution_id, origin.name, origin.input, origin.version)


def start_child(
    instance: Instance | None,
    instance_id: str,
    command: StartChild,
    now: datetime,
    new_id: NewId,
) -> Transition:
    """Create the child, also in place of one that has ended: retries use the id again."""
    if instance is not None and instance.is_live:
        return Transition(follow_ups=(report_id_taken(instance_id, command.parent),))
    return create(instance, instance_id, command.start, now, new_id, command.parent)


def report_id_taken(instance_id: str, parent: ParentLink) -> FollowUp:
    """Tell the parent that the id of its child is in use."""
    failure = messages.TaskFailureDetails(
        error_type="OrchestrationAlreadyExists",
        error_message=f"An orchestration with the id '{instance_id}' is running already. "
        "Give the sub-orchestration another id, or none.",
    )
    return report_to_parent(parent, instance_id, failure=failure)


def start_detached(
    instance: Instance | None,
    instance_id: str,
    command: StartDetached,
    now: datetime,
    new_id: NewId,
) -> Transition:
    """Create the instance if its id is valid and free; otherwise nobody is told."""
    start = command.start
    is_invalid = ids.instance_id_error(instance_id) is not None or not start.name
    if is_invalid or (instance is not None and instance.progress.status not in start.replaceable):
        return NOTHING
    return create(instance, instance_id, start, now, new_id)


def restart(
    instance: Instance | None,
    instance_id: str,
    command: Restart,
    now: datetime,
    new_id: NewId,
) -> Transition:
    """Start again what has ended: with its name, version, input and tags, without a parent."""
    if instance is None:
        return refuse(instance_not_found(instance_id))
    if instance.is_live:
        status = instance.progress.status.name
        text = f"'{instance_id}' is {status}; only an instance that has ended can be restarted"
        return refuse(FailedPrecondition(text))
    origin = instance.origin
    again = StartInstance(origin.name, origin.input, origin.version, tags=origin.tags)
    if command.new_instance_id is not None:
        return Transition(follow_ups=(FollowUp(command.new_instance_id, again),))
    return create(instance, instance_id, again, now, new_id)


def create(  # noqa: PLR0917 - the arguments of every rule, and the parent
    replaced: Instance | None,
    instance_id: str,
    command: StartInstance,
    now: datetime,
    new_id: NewId,
    parent: ParentLink | None = None,
) -> Transition:
    """Create an instance, in place of `replaced` if there is one."""
    origin = Origin(
        execution_id=command.execution_id or new_id(),
        name=command.name,
        created_at=now,
        input=command.input,
        version=command.version,
        tags=command.tags,
        scheduled_start=command.scheduled_start,
        parent=parent,
        parent_trace_context=command.parent_trace_context,
    )
    # The count goes on, so that a late completion for the replaced instance finds no new row.
    number = 1 if replaced is None else replaced.progress.rows_made + 1
    visible_at = max(command.scheduled_start or now, now)
    event = start_event(instance_id, origin, now, command.router)
    row = InboxRow(number, RowKind.START, visible_at, event)
    return Transition(
        origin=origin,
        progress=Progress(messages.OrchestrationStatus.PENDING, now, rows_made=number),
        inbox_add=(row,),
        follow_ups=() if replaced is None else _notify_replaced(replaced, instance_id),
    )


def start_event(
    instance_id: str,
    origin: Origin,
    now: datetime,
    router: messages.TaskRouter | None = None,
) -> bytes:
    """The encoded event with which an execution begins."""
    parent = origin.parent
    started = events.execution_started(
        origin.name,
        origin.input,
        instance_id=instance_id,
        execution_id=origin.execution_id,
        version=origin.version,
        tags=origin.tags,
        parent=None if parent is None else parent_info(parent),
        scheduled_start=origin.scheduled_start,
        parent_trace_context=origin.parent_trace_context,
        at=now,
    )
    started.router = router
    return codec.encode(started)


def parent_info(parent: ParentLink) -> messages.ParentInstanceInfo:
    return messages.ParentInstanceInfo(
        task_scheduled_id=parent.task_id,
        name=parent.name,
        version=parent.version,
        orchestration_instance=messages.OrchestrationInstance(
            instance_id=parent.instance_id, execution_id=parent.execution_id
        ),
    )


def _notify_replaced(replaced: Instance, instance_id: str) -> tuple[FollowUp, ...]:
    """The commands that release the locks of a replaced instance and tell its parent."""
    releases = (
        release for lock in replaced.locks.values() for release in lock_releases(instance_id, lock)
    )
    return (*releases, *_report_replacement(replaced, instance_id))


def _report_replacement(replaced: Instance, instance_id: str) -> tuple[FollowUp, ...]:
    """The failure for a parent that waits for the replaced instance."""
    parent = replaced.origin.parent
    if not replaced.is_live or parent is None:
        return ()
    failure = messages.TaskFailureDetails(
        error_type="OrchestrationReplaced",
        error_message=f"Sub-orchestration '{instance_id}' was replaced by a new instance.",
    )
    return (report_to_parent(parent, instance_id, failure=failure),)
