"""Complete tasks with the events that answer what was asked for.

Engines repeat an answer when a lease is lost, and cancelled timers fire all the same: an answer
that completes no task is reported as such, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol.correlation import (
    ACTIVITY,
    ANSWERED_BY,
    ENTITY_CALL,
    ENTITY_LOCK,
    SUB_ORCHESTRATION,
    TIMER,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.context import ReplayedContext
    from durabletask.protocol import messages


def _activity_completed(context: ReplayedContext, done: Any) -> bool:
    return context.activities.complete(done.task_scheduled_id, done.result, done.task_execution_id)


def _activity_failed(context: ReplayedContext, failed: Any) -> bool:
    return context.activities.fail(
        failed.task_scheduled_id, failed.failure_details, failed.task_execution_id
    )


def _child_completed(context: ReplayedContext, done: Any) -> bool:
    return context.children.complete(done.task_scheduled_id, done.result)


def _child_failed(context: ReplayedContext, failed: Any) -> bool:
    return context.children.fail(failed.task_scheduled_id, failed.failure_details)


def _timer_fired(context: ReplayedContext, fired: Any) -> bool:
    return context.timers.fired(fired.timer_id, fired.fire_at)


def _entity_completed(context: ReplayedContext, done: Any) -> bool:
    return context.entity_calls.complete(done.request_id, done.output)


def _entity_failed(context: ReplayedContext, failed: Any) -> bool:
    return context.entity_calls.fail(failed.request_id, failed.failure_details)


def _lock_granted(context: ReplayedContext, granted: Any) -> bool:
    return context.sections.granted(granted.critical_section_id)


_COMPLETE: dict[str, Callable[[ReplayedContext, Any], bool]] = {
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

_NAMES = {
    ACTIVITY: "activity",
    SUB_ORCHESTRATION: "sub-orchestration",
    TIMER: "timer",
    ENTITY_CALL: "entity call",
    ENTITY_LOCK: "lock request",
}


def complete(context: ReplayedContext, kind: str, event: messages.HistoryEvent) -> bool:
    """Apply an event of one of the `EVENT_KINDS`; False if no task waits for the answer."""
    return _COMPLETE[kind](context, getattr(event, kind))


def answered(kind: str, event: messages.HistoryEvent) -> str:
    """What such an event answers, as log texts name it."""
    request = ANSWERED_BY[kind]
    return f"{_NAMES[request]} #{request.id_in(event, kind)}"
