"""The outcome of an activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import outstanding
from .draft import Draft
from .failure_details import trimmed
from .inbox import RowKind
from .transition import Stale, Transition, refuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import CompleteActivity
    from .state import Instance, TaskRow


def complete(
    instance: Instance | None,
    instance_id: str,
    command: CompleteActivity,
    now: datetime,
    _new_id: Callable[[], str],
) -> Transition:
    """Resolve the task the completion names: the first outcome counts.

    It does not matter which lease, or which process, handed the task out: a worker that
    finished while the sidecar restarted must not have to do it again.
    """
    row = None if instance is None else instance.task_with_key(command.task_key)
    if instance is None or row is None:
        return refuse(Stale(f"task {command.task_key} of '{instance_id}' is not outstanding"))
    draft = Draft(instance, now)
    draft.remove_task(row.number)
    if not instance.is_live:
        # Nothing else about an instance that has ended changes, not even its last update.
        return draft.finish(updated_at=instance.progress.updated_at)
    name = outstanding.task(row.task_id)
    draft.enqueue(RowKind.RESULT, _outcome(row, command, now), answers=name)
    return draft.finish()


def _outcome(row: TaskRow, command: CompleteActivity, now: datetime) -> messages.HistoryEvent:
    call = codec.decode(messages.ActivityRequest, row.request).task_execution_id
    if command.failure is None:
        return events.task_completed(row.task_id, command.result, task_execution_id=call, at=now)
    failure = trimmed(command.failure)
    return events.task_failed(row.task_id, failure, task_execution_id=call, at=now)
