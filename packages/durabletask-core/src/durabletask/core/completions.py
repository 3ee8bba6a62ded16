"""Complete tasks with the events that answer what was asked for.

Engines repeat an answer when a lease is lost, and cancelled timers fire all the same: an answer
that completes no task is reported as such, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol.correlation import (
    ACTIVITY,
    ENTITY_CALL,
    ENTITY_LOCK,
    SUB_ORCHESTRATION,
    TIMER,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.context import ReplayedContext


class TaskCompletion(NamedTuple):
    """What was answered, as log texts name it, and whether a task waited for it."""

    what: str
    id: int | str
    is_awaited: bool


def _activity_completed(context: ReplayedContext, done: Any) -> TaskCompletion:
    id = done.task_scheduled_id
    known = context.activities.complete(id, done.result, done.task_execution_id)
    return TaskCompletion("activity", id, known)


def _activity_failed(context: ReplayedContext, failed: Any) -> TaskCompletion:
    id = failed.task_scheduled_id
    known = context.activities.fail(id, failed.failure_details, failed.task_execution_id)
    return TaskCompletion("activity", id, known)


def _child_completed(context: ReplayedContext, done: Any) -> TaskCompletion:
    id = done.task_scheduled_id
    return TaskCompletion("sub-orchestration", id, context.children.complete(id, done.result))


def _child_failed(context: ReplayedContext, failed: Any) -> TaskCompletion:
    id = failed.task_scheduled_id
    return TaskCompletion(
        "sub-orchestration", id, context.children.fail(id, failed.failure_details)
    )


def _timer_fired(context: ReplayedContext, fired: Any) -> TaskCompletion:
    known = context.timers.fired(fired.timer_id, fired.fire_at)
    return TaskCompletion("timer", fired.timer_id, known)


def _entity_completed(context: ReplayedContext, done: Any) -> TaskCompletion:
    known = context.entity_calls.complete(done.request_id, done.output)
    return TaskCompletion("entity call", done.request_id, known)


def _entity_failed(context: ReplayedContext, failed: Any) -> TaskCompletion:
    known = context.entity_calls.fail(failed.request_id, failed.failure_details)
    return TaskCompletion("entity call", failed.request_id, known)


def _lock_granted(context: ReplayedContext, granted: Any) -> TaskCompletion:
    known = context.sections.granted(granted.critical_section_id)
    return TaskCompletion("lock request", granted.critical_section_id, known)


_COMPLETE: dict[str, Callable[[ReplayedContext, Any], TaskCompletion]] = {
    ACTIVITY.completed_by: _activity_completed,
    ACTIVITY.failed_by: _activity_failed,
    SUB_ORCHESTRATION.completed_by: _child_completed,
    SUB_ORCHESTRATION.failed_by: _child_failed,
    TIMER.completed_by: _timer_fired,
    ENTITY_CALL.completed_by: _entity_completed,
    ENTITY_CALL.failed_by: _entity_failed,
    ENTITY_LOCK.completed_by: _lock_granted,
}

EVENT_KINDS = frozenset(_COMPLETE)
"""The kinds of events that answer an action."""


def complete(context: ReplayedContext, kind: str, body: Any) -> TaskCompletion:
    """Apply the body of an event of one of the `EVENT_KINDS`."""
    return _COMPLETE[kind](context, body)
