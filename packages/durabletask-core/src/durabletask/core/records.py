"""What history records of the actions that were asked for, held against what the code asks.

One line a kind of event: the method of the context that leads to it, and what of the event
the code had to say as well. Raises NonDeterminismError where the two differ.

Knows nothing about answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core import actions

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.context import ReplayedContext
    from durabletask.protocol import messages


class Record(NamedTuple):
    """History's account of one action."""

    method: str
    name: str = ""
    target: str = ""


_RECORDS: dict[str, Callable[[Any], Record]] = {
    "task_scheduled": lambda it: Record(actions.CALL_ACTIVITY, it.name),
    "sub_orchestration_instance_created": lambda it: Record(actions.CALL_SUB_ORCHESTRATOR, it.name),
    "timer_created": lambda _: Record(actions.CREATE_TIMER),
    "event_sent": lambda it: Record(actions.SEND_EVENT, it.name, it.instance_id),
    "entity_operation_called": lambda it: Record(
        actions.CALL_ENTITY, it.operation, it.target_instance_id or ""
    ),
    "entity_operation_signaled": lambda it: Record(
        actions.SIGNAL_ENTITY, it.operation, it.target_instance_id or ""
    ),
    "entity_lock_requested": lambda it: Record(
        actions.LOCK_ENTITIES, target=", ".join(it.lock_set)
    ),
    "entity_unlock_sent": lambda it: Record(actions.UNLOCK_ENTITIES, target=it.critical_section_id),
}

KINDS = frozenset(_RECORDS)
"""The kinds of events that record an action."""


def confirm(context: ReplayedContext, kind: str, event: messages.HistoryEvent) -> None:
    """Take an event of one of the `KINDS`: history has what the code asked for."""
    body = getattr(event, kind)
    record = _RECORDS[kind](body)
    if kind == "entity_unlock_sent":
        # The unlocks of a section leave in one turn; to the official SDK any one speaks for
        # all, so an engine may not keep their numbers.
        context.ledger.confirm_alike(event.event_id, record.method, record.target)
        return
    context.ledger.confirm(event.event_id, record.method, record.name, record.target)
    match kind:
        case "task_scheduled":
            context.activities.recorded(event.event_id, body.task_execution_id)
        case "entity_operation_called":
            context.entity_calls.recorded(event.event_id, body.request_id)
        case "entity_lock_requested":
            context.sections.recorded(body.critical_section_id)
