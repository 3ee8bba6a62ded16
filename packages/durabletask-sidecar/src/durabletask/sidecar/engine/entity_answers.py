"""What an orchestration hears from entities: answers to its calls, and its locks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import events

from . import outstanding
from .draft import Draft, releases
from .inbox import RowKind
from .state import LockRow
from .transition import NOTHING, Transition

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.protocol import messages

    from .commands import EntityAnswered, LockGranted
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


def lock_granted(
    instance: Instance | None,
    instance_id: str,
    command: LockGranted,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Tell the orchestration; when it does not want the lock any more, give it back."""
    section = command.critical_section_id
    lock = None
    if instance is not None and _is_current(instance, command.execution_id):
        lock = instance.locks.get(section)
    if instance is None or lock is None:
        unwanted = LockRow(section, command.lock_set)
        return Transition(follow_ups=tuple(releases(instance_id, unwanted)))
    if lock.is_granted:
        return NOTHING
    draft = Draft(instance, now)
    draft.set_lock(replace(lock, is_granted=True))
    name = outstanding.lock(section)
    draft.enqueue(RowKind.RESULT, events.entity_lock_granted(section, at=now), answers=name)
    return draft.finish()


def _is_current(instance: Instance | None, execution_id: str) -> bool:
    return (
        instance is not None and instance.is_live and instance.origin.execution_id == execution_id
    )
