"""What callers ask of an instance: raise an event, suspend, resume, terminate, purge.

    (none) --start--> PENDING --turn--> RUNNING --complete--> COMPLETED | FAILED | TERMINATED
    PENDING, RUNNING --suspend--> SUSPENDED --resume--> PENDING, RUNNING
    RUNNING --turn that no worker has the version for--> STALLED --turn, resume--> RUNNING

Terminal states are final: what comes later for such an instance is dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import events, messages

from . import completion
from .commands import Purge
from .inbox import RowKind
from .transition import (
    ACCEPTED,
    NOTHING,
    FailedPrecondition,
    ForChildren,
    Purged,
    Transition,
    instance_not_found,
    refuse,
)
from .transition_builder import TransitionBuilder, lock_releases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import DeliverEvent, RaiseEvent, Resume, Suspend, Terminate
    from .state import Instance

    NewId = Callable[[], str]


def raise_event(
    instance: Instance | None, instance_id: str, command: RaiseEvent, now: datetime, _new_id: NewId
) -> Transition:
    if instance is None:
        return refuse(instance_not_found(instance_id))
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
    builder = TransitionBuilder(instance, now)
    builder.enqueue(RowKind.EVENT, events.event_raised(command.name, command.input, at=now))
    return builder.build()


def suspend(
    instance: Instance | None, instance_id: str, command: Suspend, now: datetime, _new_id: NewId
) -> Transition:
    """Hold back the inbox; the suspension is recorded when the instance is resumed.

    The worker is never told that an instance is suspended: Microsoft's Python SDK (1.12.0)
    repeats its actions with every event that follows in the same turn. A turn that a worker
    has is committed as usual, and none begins until the instance is resumed.
    """
    if instance is None:
        return refuse(instance_not_found(instance_id))
    if not instance.is_live or instance.progress.is_suspended:
        return NOTHING
    return TransitionBuilder(instance, now).build(
        status=messages.OrchestrationStatus.SUSPENDED,
        suspended_at=now,
        suspend_reason=command.reason,
    )


def resume(
    instance: Instance | None, instance_id: str, command: Resume, now: datetime, _new_id: NewId
) -> Transition:
    if instance is None:
        return refuse(instance_not_found(instance_id))
    progress = instance.progress
    if progress.status == messages.OrchestrationStatus.STALLED:
        return _retry_stalled(instance, now)
    if not progress.is_suspended:
        return NOTHING
    builder = TransitionBuilder(instance, now)
    if progress.history_length:
        # Before the first turn, the orchestrator would get the pair before its start event.
        reason = progress.suspend_reason or None
        suspended = events.execution_suspended(reason, at=progress.suspended_at)
        builder.enqueue(RowKind.CONTROL, suspended)
        builder.enqueue(RowKind.CONTROL, events.execution_resumed(command.reason or None, at=now))
    has_run = progress.turn_at is not None
    status = messages.OrchestrationStatus
    return builder.build(
        status=status.RUNNING if has_run else status.PENDING,
        suspended_at=None,
        suspend_reason=None,
    )


def _retry_stalled(instance: Instance, now: datetime) -> Transition:
    """Give the instance a turn, so that a worker with the version can continue it."""
    builder = TransitionBuilder(instance, now)
    builder.wake_up()
    return builder.build(status=messages.OrchestrationStatus.RUNNING)


def terminate(
    instance: Instance | None,
    instance_id: str,
    command: Terminate,
    now: datetime,
    _new_id: NewId,
) -> Transition:
    """End the instance at once; a turn that a worker has becomes stale.

    It takes no worker: instances must end also while workers hang or are not connected.
    """
    if instance is None:
        return refuse(instance_not_found(instance_id)) if command.must_exist else NOTHING
    for_children = _for_children(command)
    if not instance.is_live:
        reply = _already_ended(instance) if command.must_be_live else ACCEPTED
        return Transition(reply=reply, for_children=for_children)
    builder = TransitionBuilder(instance, now)
    builder.record(events.execution_terminated(command.output, recurse=command.recursive, at=now))
    ended = completion.complete(
        builder, messages.OrchestrationStatus.TERMINATED, result=command.output, event_id=-1
    )
    return ended._replace(for_children=for_children)


def _for_children(command: Terminate) -> ForChildren | None:
    if not command.recursive:
        return None
    return ForChildren(replace(command, must_exist=False, must_be_live=False))


def _already_ended(instance: Instance) -> FailedPrecondition:
    status = instance.progress.status.name
    return FailedPrecondition(f"'{instance.instance_id}' has ended already: {status}")


def purge(
    instance: Instance | None,
    instance_id: str,
    command: Purge,
    _now: datetime,
    _new_id: NewId,
) -> Transition:
    """Remove the instance with its rows and history, unless it is live.

    Live children of an instance that has ended are removed with it: no parent waits for them
    any more, and nobody would find them.
    """
    if instance is None or (instance.is_live and not command.even_live):
        return Transition(reply=Purged(0))
    if command.ended_before is not None and _ended_since(instance, command.ended_before):
        return Transition(reply=Purged(0))
    recursion = ForChildren(Purge(recursive=True, even_live=True), live_only=False)
    return Transition(
        reply=Purged(1),
        removes=True,
        follow_ups=tuple(
            release
            for lock in instance.locks.values()
            for release in lock_releases(instance_id, lock)
        ),
        for_children=recursion if command.recursive else None,
    )


def _ended_since(instance: Instance, age: datetime) -> bool:
    completed_at = instance.progress.completed_at
    return completed_at is None or completed_at >= age
