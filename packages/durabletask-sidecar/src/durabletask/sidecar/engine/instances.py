"""What callers ask of an instance: start, raise an event, suspend, resume, terminate.

    (none) --start--> PENDING --turn--> RUNNING --complete--> COMPLETED | FAILED | TERMINATED
    PENDING, RUNNING --suspend--> SUSPENDED --resume--> PENDING, RUNNING
    RUNNING --turn that no worker has the version for--> STALLED --turn, resume--> RUNNING

Terminal states absorb: what comes later for such an instance is dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import endings, instance_ids
from .commands import StartInstance
from .draft import Draft, releases
from .inbox import InboxRow, RowKind
from .state import Instance, Origin, ParentLink, Progress
from .transition import (
    ACCEPTED,
    NOTHING,
    AlreadyExists,
    FailedPrecondition,
    FollowUp,
    ForChildren,
    NotFound,
    Transition,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import (
        DeliverEvent,
        RaiseEvent,
        Restart,
        Resume,
        StartDetached,
        Suspend,
        Terminate,
    )

    NewId = Callable[[], str]


def missing(instance_id: str) -> Transition:
    return refuse(not_found(instance_id))


def not_found(instance_id: str) -> NotFound:
    # Dapr's clients look for the first four words.
    return NotFound(f"no such instance exists: {instance_id}")


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
    """Whether it is the request that made the instance, from a caller who did not hear so."""
    asked = (command.execution_id, command.name, command.input, command.version)
    return asked == (origin.execution_id, origin.name, origin.input, origin.version)


def start_detached(
    instance: Instance | None,
    instance_id: str,
    command: StartDetached,
    now: datetime,
    new_id: NewId,
) -> Transition:
    """Create the instance, if its id is free and will do; nobody is there to be told."""
    start = command.start
    unusable = instance_ids.complaint(instance_id) is not None or not start.name
    if unusable or (instance is not None and instance.progress.status not in start.replaceable):
        return NOTHING
    return create(instance, instance_id, start, now, new_id)


def restart(
    instance: Instance | None,
    instance_id: str,
    command: Restart,
    now: datetime,
    new_id: NewId,
) -> Transition:
    """Begin again what has ended: same name, version, input and tags, but no parent."""
    if instance is None:
        return missing(instance_id)
    if instance.is_live:
        status = instance.progress.status.name
        text = f"'{instance_id}' is {status}; only an instance that has ended can be restarted"
        return refuse(FailedPrecondition(text))
    origin = instance.origin
    again = StartInstance(origin.name, origin.input, origin.version, tags=origin.tags)
    if command.new_instance_id is not None:
        return Transition(follow_ups=(FollowUp(command.new_instance_id, again),))
    return create(instance, instance_id, again, now, new_id)


def create(  # noqa: PLR0917 - the shape of every rule, and whom the new instance reports to
    replaced: Instance | None,
    instance_id: str,
    command: StartInstance,
    now: datetime,
    new_id: NewId,
    parent: ParentLink | None = None,
) -> Transition:
    """Begin an instance, in place of `replaced` where there is one."""
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
    # Counting on keeps a late completion for the replaced instance from meeting a new row.
    number = 1 if replaced is None else replaced.progress.rows_made + 1
    visible_at = max(command.scheduled_start or now, now)
    event = start_event(instance_id, origin, now, command.router)
    row = InboxRow(number, RowKind.START, visible_at, event)
    return Transition(
        origin=origin,
        progress=Progress(messages.OrchestrationStatus.PENDING, now, rows_made=number),
        inbox_add=(row,),
        follow_ups=() if replaced is None else _farewell(replaced, instance_id),
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


def _farewell(replaced: Instance, instance_id: str) -> tuple[FollowUp, ...]:
    """What others have to hear of an instance that gives way."""
    freed = (release for lock in replaced.locks.values() for release in releases(instance_id, lock))
    return (*freed, *_replacement_notice(replaced, instance_id))


def _replacement_notice(replaced: Instance, instance_id: str) -> tuple[FollowUp, ...]:
    """A parent that waits for the replaced instance must not wait for ever."""
    parent = replaced.origin.parent
    if not replaced.is_live or parent is None:
        return ()
    failure = messages.TaskFailureDetails(
        error_type="OrchestrationReplaced",
        error_message=f"Sub-orchestration '{instance_id}' was replaced by a new instance.",
    )
    return (endings.report(parent, instance_id, failure=failure),)


def raise_event(
    instance: Instance | None, instance_id: str, command: RaiseEvent, now: datetime, _new_id: NewId
) -> Transition:
    if instance is None:
        return missing(instance_id)
    return _queue_event(instance, command, now)


def deliver_event(
    instance: Instance | None,
    _instance_id: str,
    command: DeliverEvent,
    now: datetime,
    _new_id: NewId,
) -> Transition:
    return NOTHING if instance is None else _queue_event(instance, command, now)


def _queue_event(
    instance: Instance, command: RaiseEvent | DeliverEvent, now: datetime
) -> Transition:
    if not instance.is_live:
        return NOTHING
    draft = Draft(instance, now)
    draft.enqueue(RowKind.EVENT, events.event_raised(command.name, command.input, at=now))
    return draft.finish()


def suspend(
    instance: Instance | None, instance_id: str, command: Suspend, now: datetime, _new_id: NewId
) -> Transition:
    """Hold the inbox. History learns of it when the instance is resumed.

    A worker that finds itself suspended in the middle of a turn asks for the same work
    again with every event that follows (python SDK 1.12.0), so none ever does: a turn
    that is out is committed as usual, and none begins until the instance is resumed.
    """
    if instance is None:
        return missing(instance_id)
    if not instance.is_live or instance.progress.is_suspended:
        return NOTHING
    return Draft(instance, now).finish(
        status=messages.OrchestrationStatus.SUSPENDED,
        suspended_at=now,
        suspend_reason=command.reason,
    )


def resume(
    instance: Instance | None, instance_id: str, command: Resume, now: datetime, _new_id: NewId
) -> Transition:
    if instance is None:
        return missing(instance_id)
    progress = instance.progress
    if progress.status == messages.OrchestrationStatus.STALLED:
        return _try_again(instance, now)
    if not progress.is_suspended:
        return NOTHING
    draft = Draft(instance, now)
    if progress.history_length:
        # An orchestrator that has not begun would see the pair before its own start.
        reason = progress.suspend_reason or None
        suspended = events.execution_suspended(reason, at=progress.suspended_at)
        draft.enqueue(RowKind.CONTROL, suspended)
        draft.enqueue(RowKind.CONTROL, events.execution_resumed(command.reason or None, at=now))
    has_run = progress.turn_at is not None
    status = messages.OrchestrationStatus
    return draft.finish(
        status=status.RUNNING if has_run else status.PENDING,
        suspended_at=None,
        suspend_reason=None,
    )


def _try_again(instance: Instance, now: datetime) -> Transition:
    """Let a worker look whether it can take the instance further by now."""
    draft = Draft(instance, now)
    draft.nudge()
    return draft.finish(status=messages.OrchestrationStatus.RUNNING)


def terminate(
    instance: Instance | None,
    instance_id: str,
    command: Terminate,
    now: datetime,
    _new_id: NewId,
) -> Transition:
    """End the instance at once; the turn that may be out becomes stale.

    No worker is asked: one that hangs, or is not there, must not keep an instance alive.
    """
    if instance is None:
        return missing(instance_id) if command.must_exist else NOTHING
    for_children = _for_children(command)
    if not instance.is_live:
        reply = _has_ended(instance) if command.must_be_live else ACCEPTED
        return Transition(reply=reply, for_children=for_children)
    draft = Draft(instance, now)
    draft.record(events.execution_terminated(command.output, recurse=command.recursive, at=now))
    ended = endings.end(
        draft, messages.OrchestrationStatus.TERMINATED, result=command.output, event_id=-1
    )
    return ended._replace(for_children=for_children)


def _for_children(command: Terminate) -> ForChildren | None:
    if not command.recursive:
        return None
    return ForChildren(replace(command, must_exist=False, must_be_live=False))


def _has_ended(instance: Instance) -> FailedPrecondition:
    status = instance.progress.status.name
    return FailedPrecondition(f"'{instance.instance_id}' has ended already: {status}")
