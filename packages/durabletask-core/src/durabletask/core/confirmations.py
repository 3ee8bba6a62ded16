"""Compare the actions that history records with those that the code asks for.

Raises NonDeterminismError where the two differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from durabletask.core import actions
from durabletask.protocol import correlation

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.actions import ActionKind
    from durabletask.core.context import ReplayedContext
    from durabletask.protocol import messages

# The kind, name and target of an action, as far as the event that records it has them.
_Recorded: TypeAlias = "tuple[ActionKind, str, str]"

_RECORDED: dict[str, Callable[[Any], _Recorded]] = {
    correlation.ACTIVITY.event: lambda it: (actions.CALL_ACTIVITY, it.name, ""),
    correlation.SUB_ORCHESTRATION.event: lambda it: (actions.CALL_SUB_ORCHESTRATOR, it.name, ""),
    correlation.TIMER.event: lambda _: (actions.CREATE_TIMER, "", ""),
    correlation.SENT_EVENT.event: lambda it: (actions.SEND_EVENT, it.name, it.instance_id),
    correlation.ENTITY_CALL.event: lambda it: (
        actions.CALL_ENTITY,
        it.operation,
        it.target_instance_id or "",
    ),
    correlation.ENTITY_SIGNAL.event: lambda it: (
        actions.SIGNAL_ENTITY,
        it.operation,
        it.target_instance_id or "",
    ),
    correlation.ENTITY_LOCK.event: lambda it: (
        actions.LOCK_ENTITIES,
        "",
        ", ".join(it.lock_set),
    ),
    correlation.ENTITY_UNLOCK.event: lambda it: (
        actions.UNLOCK_ENTITIES,
        it.critical_section_id,
        "",
    ),
}

EVENT_KINDS = frozenset(_RECORDED)
"""The kinds of events that record an action."""


def confirm(context: ReplayedContext, kind: str, event: messages.HistoryEvent) -> None:
    """Apply an event of one of the `EVENT_KINDS`: history has what the code asked for."""
    body = getattr(event, kind)
    action_kind, name, target = _RECORDED[kind](body)
    if action_kind == actions.UNLOCK_ENTITIES:
        # The unlocks of a section are sent in one turn; the official SDK takes any one of them
        # for all, so an engine may not keep their ids.
        context.pending_actions.confirm_any(event.event_id, action_kind, name)
        return
    context.pending_actions.confirm(event.event_id, action_kind, name, target)
    match action_kind:
        case actions.CALL_ACTIVITY:
            context.activities.expect_execution_id(event.event_id, body.task_execution_id)
        case actions.CALL_SUB_ORCHESTRATOR:
            context.children.expect_instance_id(event.event_id, body.instance_id)
        case actions.CALL_ENTITY:
            context.entity_calls.expect_request_id(event.event_id, body.request_id)
        case actions.LOCK_ENTITIES:
            context.sections.expect_id(body.critical_section_id)
