"""A history that goes on anew: asks again for what is under way in it.

Of a rewound instance the answers were dropped, and one that is rerun never had them.
Knows nothing about why the history goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import entity_messages, orchestrator_actions

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol import messages

    from .commands import RewindChild, StartChild, StartInstance
    from .draft import Draft
    from .state import ParentLink
    from .unanswered import Unanswered


def resume(
    draft: Draft,
    open_: Unanswered,
    ask_child: Callable[[StartInstance, ParentLink], StartChild | RewindChild],
) -> None:
    """Set everything going again, and let the orchestrator have a turn.

    `ask_child` makes the command for a child, which may be there already.
    """
    for task_id, task in open_.tasks.items():
        if not draft.has_task(task_id):
            orchestrator_actions.hand_out_task(draft, task_id, task)
    for timer_id, fire_at in open_.timers.items():
        orchestrator_actions.set_timer(draft, timer_id, fire_at)
    for call in open_.calls.values():
        entity_messages.call_entity(draft, call)
    for section, request in open_.locks.items():
        entity_messages.request_lock(draft, section, request.lock_set)
    for task_id, created in open_.children.items():
        _ask_child(draft, task_id, created, ask_child)
    draft.nudge()


def _ask_child(
    draft: Draft,
    task_id: int,
    created: messages.SubOrchestrationInstanceCreatedEvent,
    ask_child: Callable[[StartInstance, ParentLink], StartChild | RewindChild],
) -> None:
    complaint = orchestrator_actions.child_complaint(created.instance_id, created.name)
    if complaint is not None:
        orchestrator_actions.fail_child(draft, task_id, complaint)
        return
    parent = draft.instance
    draft.add_child(task_id, created.instance_id)
    start = orchestrator_actions.child_start(parent, created)
    link = orchestrator_actions.link_to(parent, task_id)
    draft.tell(created.instance_id, ask_child(start, link))
