"""What comes back for the actions that were asked for: hands it to whoever waits.

One line a kind of event. Engines repeat an answer when a lease is lost, and cancelled timers
fire all the same: an answer that nobody waits for says so, and changes nothing.

Knows nothing about how the code goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.context import ReplayedContext


class Answered(NamedTuple):
    """What was answered, for people to read, and whether somebody waited for it."""

    what: str
    number: int | str
    is_awaited: bool


def _activity_completed(context: ReplayedContext, done: Any) -> Answered:
    number = done.task_scheduled_id
    known = context.activities.complete(number, done.result, done.task_execution_id)
    return Answered("activity", number, known)


def _activity_failed(context: ReplayedContext, failed: Any) -> Answered:
    number = failed.task_scheduled_id
    known = context.activities.fail(number, failed.failure_details, failed.task_execution_id)
    return Answered("activity", number, known)


def _child_completed(context: ReplayedContext, done: Any) -> Answered:
    number = done.task_scheduled_id
    return Answered("sub-orchestration", number, context.children.complete(number, done.result))


def _child_failed(context: ReplayedContext, failed: Any) -> Answered:
    number = failed.task_scheduled_id
    known = context.children.fail(number, failed.failure_details)
    return Answered("sub-orchestration", number, known)


def _timer_fired(context: ReplayedContext, fired: Any) -> Answered:
    known = context.timers.fired(fired.timer_id, fired.fire_at)
    return Answered("timer", fired.timer_id, known)


def _entity_completed(context: ReplayedContext, done: Any) -> Answered:
    known = context.entity_calls.complete(done.request_id, done.output)
    return Answered("entity call", done.request_id, known)


def _entity_failed(context: ReplayedContext, failed: Any) -> Answered:
    known = context.entity_calls.fail(failed.request_id, failed.failure_details)
    return Answered("entity call", failed.request_id, known)


def _lock_granted(context: ReplayedContext, granted: Any) -> Answered:
    known = context.sections.granted(granted.critical_section_id)
    return Answered("lock request", granted.critical_section_id, known)


_ANSWERS: dict[str, Callable[[ReplayedContext, Any], Answered]] = {
    "task_completed": _activity_completed,
    "task_failed": _activity_failed,
    "sub_orchestration_instance_completed": _child_completed,
    "sub_orchestration_instance_failed": _child_failed,
    "timer_fired": _timer_fired,
    "entity_operation_completed": _entity_completed,
    "entity_operation_failed": _entity_failed,
    "entity_lock_granted": _lock_granted,
}

KINDS = frozenset(_ANSWERS)
"""The kinds of events that answer an action."""


def hand_over(context: ReplayedContext, kind: str, body: Any) -> Answered:
    """Take the body of an event of one of the `KINDS`."""
    return _ANSWERS[kind](context, body)
