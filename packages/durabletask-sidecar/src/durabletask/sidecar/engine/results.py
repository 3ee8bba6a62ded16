"""Results that an orchestration waits for: of activities, children, entity calls and locks.

Each rule removes what was pending, and puts the result into the inbox under its name. A
result for another execution, or for something that is no longer pending, changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import pending, usual_events
from .commands import ChildCompleted
from .entities.commands import Caller, RequestLock
from .failure_details import limit_depth
from .inbox import RowKind
from .state import LockRow
from .transition import NOTHING, FollowUp, Stale, Transition, refuse
from .transition_builder import TransitionBuilder, lock_releases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import CompleteActivity, EntityCallCompleted, EntityLocked
    from .state import Instance, ParentLink, TaskRow


def complete_activity(
    instance: Instance | None,
    instance_id: str,
    command: CompleteActivity,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Record the outcome of the task that the completion names; the first outcome counts.

    It does not matter which lease, or which process, handed the task out: a worker that
    finished while the sidecar restarted must not have to do it again.
    """
    row = None if instance is None else instance.task_with_key(command.task_key)
    if instance is None or row is None:
        return refuse(Stale(f"the task {command.task_key} of '{instance_id}' is not pending"))
    builder = TransitionBuilder(instance, now)
    builder.remove_task(row.number)
    if not instance.is_live:
        # Nothing else about an instance that has ended changes, not even its last update.
        return builder.build(updated_at=instance.progress.updated_at)
    name = pending.task(row.task_id)
    builder.enqueue(RowKind.RESULT, _task_event(row, command, now), answers=name)
    return builder.build()


def _task_event(row: TaskRow, command: CompleteActivity, now: datetime) -> bytes:
    call_id = row.call_id
    if call_id is None:
        call_id = codec.decode(messages.ActivityRequest, row.request).task_execution_id
    if command.failure is None:
        return usual_events.task_completed(row.task_id, command.result, call_id, now)
    failure = limit_depth(command.failure)
    return codec.encode(events.task_failed(row.task_id, failure, task_execution_id=call_id, at=now))


def report_to_parent(
    parent: ParentLink,
    child_id: str,
    *,
    result: str | None = None,
    failure: messages.TaskFailureDetails | None = None,
) -> FollowUp:
    """The command that gives a parent the result of its child; no failure means it completed."""
    completed = ChildCompleted(parent.execution_id, parent.task_id, child_id, result, failure)
    return FollowUp(parent.instance_id, completed)


def report_end_to_parent(
    parent: ParentLink,
    child_id: str,
    status: messages.OrchestrationStatus,
    result: str | None,
    failure: messages.TaskFailureDetails | None,
) -> FollowUp:
    """The command that tells a parent how its child has ended."""
    if status == messages.OrchestrationStatus.COMPLETED:
        return report_to_parent(parent, child_id, result=result)
    failure = failure or _failure_without_details(child_id, status, result)
    return report_to_parent(parent, child_id, failure=failure)


def _failure_without_details(
    instance_id: str, status: messages.OrchestrationStatus, output: str | None
) -> messages.TaskFailureDetails:
    # Other engines leave the details out, and the parent fails without a reason.
    how = status.name.capitalize()
    text = f"Sub-orchestration '{instance_id}' was {how.lower()}"
    if status == messages.OrchestrationStatus.FAILED:
        text = f"Sub-orchestration '{instance_id}' failed, and no failure details were reported"
    return messages.TaskFailureDetails(
        error_type=f"Orchestration{how}",
        error_message=f"{text}: {output}" if output else f"{text}.",
    )


def complete_child(
    instance: Instance | None,
    _instance_id: str,
    command: ChildCompleted,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Give the result to the parent, if it is the execution that waits for it."""
    if not _is_current(instance, command.parent_execution_id):
        return NOTHING
    assert instance is not None
    row = instance.children.get(command.task_id)
    if row is None or row.child_id != command.child_id:
        return NOTHING
    builder = TransitionBuilder(instance, now)
    builder.remove_child(command.task_id)
    name = pending.child(command.task_id)
    builder.enqueue(RowKind.RESULT, _child_event(command, now), answers=name)
    return builder.build()


def _child_event(command: ChildCompleted, now: datetime) -> messages.HistoryEvent:
    if command.failure is None:
        return events.sub_orchestration_instance_completed(command.task_id, command.result, at=now)
    return events.sub_orchestration_instance_failed(command.task_id, command.failure, at=now)


def complete_call(
    instance: Instance | None,
    _instance_id: str,
    command: EntityCallCompleted,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Give the entity's answer to the caller, if it is the execution that waits for it."""
    if not _is_current(instance, command.caller_execution_id):
        return NOTHING
    assert instance is not None
    if command.request_id not in instance.calls:
        return NOTHING
    builder = TransitionBuilder(instance, now)
    builder.remove_call(command.request_id)
    name = pending.call(command.request_id)
    builder.enqueue(RowKind.RESULT, _call_event(command, now), answers=name)
    return builder.build()


def _call_event(command: EntityCallCompleted, now: datetime) -> messages.HistoryEvent:
    if command.failure is None:
        return events.entity_operation_completed(command.request_id, command.result, at=now)
    return events.entity_operation_failed(command.request_id, command.failure, at=now)


def continue_locking(
    instance: Instance | None,
    instance_id: str,
    command: EntityLocked,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Ask for the next entity of the set, or grant the lock when this was the last one.

    When the orchestration does not wait for the lock any more, all entities are released.
    """
    section = command.critical_section_id
    lock = None
    if instance is not None and _is_current(instance, command.execution_id):
        lock = instance.locks.get(section)
    if instance is None or lock is None:
        unwanted = LockRow(section, command.lock_set)
        return Transition(follow_ups=tuple(lock_releases(instance_id, unwanted)))
    if lock.is_granted:
        return NOTHING
    position = command.position + 1
    if position < len(lock.lock_set):
        caller = Caller(instance_id, command.execution_id)
        request = RequestLock(section, lock.lock_set, position, caller)
        return Transition(follow_ups=(FollowUp(lock.lock_set[position], request),))
    builder = TransitionBuilder(instance, now)
    builder.set_lock(replace(lock, is_granted=True))
    name = pending.lock(section)
    builder.enqueue(RowKind.RESULT, events.entity_lock_granted(section, at=now), answers=name)
    return builder.build()


def _is_current(instance: Instance | None, execution_id: str) -> bool:
    return (
        instance is not None and instance.is_live and instance.origin.execution_id == execution_id
    )
