"""What an orchestration hears from entities: answers to its calls, and its locks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import events

from . import outstanding
from .draft import Draft, releases
from .entities.commands import Caller, RequestLock
from .inbox import RowKind
from .state import LockRow
from .transition import NOTHING, FollowUp, Transition

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.protocol import messages

    from .commands import EntityAnswered, EntityLocked
    from .state import Instance


def answered(
    instance: Instance | None,
    _instance_id: str,
    command: EntityAnswered,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Give the answer to the caller, if it is the execution that waits for it."""
    if not _is_current(instance, command.caller_execution_id):
        return NOTHING
    assert instance is not None
    if command.request_id not in instance.calls:
        return NOTHING
    draft = Draft(instance, now)
    draft.remove_call(command.request_id)
    name = outstanding.call(command.request_id)
    draft.enqueue(RowKind.RESULT, _event(command, now), answers=name)
    return draft.finish()


def _event(command: EntityAnswered, now: datetime) -> messages.HistoryEvent:
    if command.failure is None:
        return events.entity_operation_completed(command.request_id, command.result, at=now)
    return events.entity_operation_failed(command.request_id, command.failure, at=now)


def entity_locked(
    instance: Instance | None,
    instance_id: str,
    command: EntityLocked,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Ask for the next entity of the set; tell the orchestration once it has them all.

    When it does not want them any more, all are given back.
    """
    section = command.critical_section_id
    lock = None
    if instance is not None and _is_current(instance, command.execution_id):
        lock = instance.locks.get(section)
    if instance is None or lock is None:
        unwanted = LockRow(section, command.lock_set)
        return Transition(follow_ups=tuple(releases(instance_id, unwanted)))
    if lock.is_granted:
        return NOTHING
    position = command.position + 1
    if position < len(lock.lock_set):
        caller = Caller(instance_id, command.execution_id)
        request = RequestLock(section, lock.lock_set, position, caller)
        return Transition(follow_ups=(FollowUp(lock.lock_set[position], request),))
    draft = Draft(instance, now)
    draft.set_lock(replace(lock, is_granted=True))
    name = outstanding.lock(section)
    draft.enqueue(RowKind.RESULT, events.entity_lock_granted(section, at=now), answers=name)
    return draft.finish()


def _is_current(instance: Instance | None, execution_id: str) -> bool:
    return (
        instance is not None and instance.is_live and instance.origin.execution_id == execution_id
    )
