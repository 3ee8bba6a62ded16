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


class Completion(NamedTuple):
    """What was answered, as log texts name it, and whether a task waited for it."""

    what: str
    id: int | str
    is_awaited: bool


def _activity_completed(context: ReplayedContext, done: Any) -> Completion:
    id = done.task_scheduled_id
    known = context.activities.complete(id, done.result, done.task_execution_id)
    return Completion("activity", id, known)


def _activity_failed(context: ReplayedContext, failed: Any) -> Completion:
    id = failed.task_scheduled_id
    known = context.activities.fail(id, failed.failure_details, failed.task_execution_id)
    return Completion("activity", id, known)


def _child_completed(context: ReplayedContext, done: Any) -> Completion:
    id = done.task_scheduled_id
    return Completion("sub-orchestration", id, context.children.complete(id, done.result))


def _child_failed(context: ReplayedContext, failed: Any) -> Completion:
    id = failed.task_scheduled_id
    return Completion("sub-orchestration", id, context.children.fail(id, failed.failure_details))


def _timer_fired(context: ReplayedContext, fired: Any) -> Completion:
    known = context.timers.fired(fired.timer_id, fired.fire_at)
    return Completion("timer", fired.timer_id, known)


def _entity_completed(context: ReplayedContext, done: Any) -> Completion:
    known = context.entity_calls.complete(done.request_id, done.output)
    return Completion("entity call", done.request_id, known)


def _entity_failed(context: ReplayedContext, failed: Any) -> Completion:
    known = context.entity_calls.fail(failed.request_id, failed.failure_details)
    return Completion("entity call", failed.request_id, known)


def _lock_granted(context: ReplayedContext, granted: Any) -> Completion:
    known = context.sections.granted(granted.critical_section_id)
    return Completion("lock request", granted.critical_section_id, known)


_COMPLETE: dict[str, Callable[[ReplayedContext, Any], Completion]] = {
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


def complete(context: ReplayedContext, kind: str, body: Any) -> Completion:
    """Apply the body of an event of one of the `EVENT_KINDS`."""
    return _COMPLETE[kind](context, body)
