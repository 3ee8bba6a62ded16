"""Rewind: an instance that has failed tries again what failed.

    FAILED --rewind--> RUNNING, one turn that asks for a new history
           --its answer--> RUNNING, that history in the place of the old one

The worker leaves out of its history what failed (official-sdk.md 25); the orchestrator
asks for it again in the turn that follows. What was under way when the instance failed,
and whose results were dropped since, is set going here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import children, endings, entity_messages, instances
from .commands import RewindChild
from .draft import Draft
from .inbox import RowKind
from .resumption import resume
from .state import Instance
from .transition import FailedPrecondition, Transition, refuse
from .unanswered import unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from .commands import CompleteTurn, Rewind
    from .state import ParentLink
    from .unanswered import Unanswered

    NewId = Callable[[], str]


def rewind(
    instance: Instance | None, instance_id: str, command: Rewind, now: datetime, _new_id: NewId
) -> Transition:
    if instance is None:
        return instances.missing(instance_id)
    if instance.progress.status != messages.OrchestrationStatus.FAILED:
        status = instance.progress.status.name
        text = f"'{instance_id}' is {status}; only an instance that has FAILED can be rewound"
        return refuse(FailedPrecondition(text))
    return _begin(Draft(instance, now), events.execution_rewound(command.reason, at=now))


def _begin(draft: Draft, rewound: messages.HistoryEvent) -> Transition:
    draft.clear_inbox()
    draft.enqueue(RowKind.REWIND, rewound)
    return draft.finish(
        status=messages.OrchestrationStatus.RUNNING,
        completed_at=None,
        output=None,
        failure=None,
    )


def rewind_child(
    instance: Instance | None,
    instance_id: str,
    command: RewindChild,
    now: datetime,
    new_id: NewId,
) -> Transition:
    """Bring the child to where its parent may wait for it again."""
    parent = command.parent
    if instance is None or (not instance.is_live and not _is_child_of(instance, parent)):
        return instances.create(instance, instance_id, command.start, now, new_id, parent)
    if not _is_child_of(instance, parent):
        return Transition(follow_ups=(children.id_is_taken(instance_id, parent),))
    if instance.progress.status == messages.OrchestrationStatus.FAILED:
        rewound = _rewound_child(instance, command, now)
        return _begin(Draft(instance, now), rewound)._replace(parent=parent)
    if instance.is_live:
        return Draft(instance, now).finish()._replace(parent=parent)
    # It ended while nobody waited for it.
    progress = instance.progress
    told = endings.notice(parent, instance_id, progress.status, progress.output, progress.failure)
    return Transition(follow_ups=(told,))


def _is_child_of(instance: Instance, parent: ParentLink) -> bool:
    link = instance.origin.parent
    return link is not None and (link.instance_id, link.task_id) == (
        parent.instance_id,
        parent.task_id,
    )


def _rewound_child(child: Instance, command: RewindChild, now: datetime) -> messages.HistoryEvent:
    origin = child.origin
    return events.execution_rewound(
        command.reason,
        instance_id=child.instance_id,
        parent_execution_id=command.parent.execution_id,
        name=origin.name,
        version=origin.version,
        input=origin.input,
        parent=instances.parent_info(command.parent),
        parent_trace_context=origin.parent_trace_context,
        tags=origin.tags,
        at=now,
    )


def complete(instance: Instance, command: CompleteTurn, now: datetime, new_id: NewId) -> Transition:
    """Put the worker's new history in the place of the old one, and go on from there."""
    history = _new_history(command.actions)
    started = next((each.execution_started for each in history if each.execution_started), None)
    if started is None:
        return _fail(instance, command, now, _reason_not_to(command.actions))
    complaint = _complaint(unanswered(history))
    if complaint is not None:
        return _fail(instance, command, now, complaint)
    identity = started.orchestration_instance
    execution_id = (identity.execution_id if identity is not None else None) or new_id()
    return _go_on(instance, command, history, execution_id, now)


def _new_history(
    actions: Sequence[messages.OrchestratorAction],
) -> Sequence[messages.HistoryEvent]:
    for action in actions:
        if action.rewind_orchestration is not None:
            return action.rewind_orchestration.new_history
    return ()


def _reason_not_to(
    actions: Sequence[messages.OrchestratorAction],
) -> messages.TaskFailureDetails:
    """Why the worker does not rewind the instance: as it says, or because it cannot."""
    for action in actions:
        ending = action.complete_orchestration
        if ending is not None and ending.failure_details is not None:
            return ending.failure_details
    return messages.TaskFailureDetails(
        error_type="RewindNotSupported",
        error_message="The worker did not answer with a new history: its SDK cannot rewind "
        "orchestrations. Rewind again with a worker that can.",
    )


def _complaint(open_: Unanswered) -> messages.TaskFailureDetails | None:
    """Why what the new history waits for cannot be asked for again; None when it can."""
    complaints = map(
        entity_messages.lock_complaint, (lock.lock_set for lock in open_.locks.values())
    )
    complaint = next((each for each in complaints if each is not None), None)
    if complaint is None:
        return None
    return messages.TaskFailureDetails(
        error_type="UnsupportedAction",
        error_message=f"durabletask-sidecar does not support {complaint}, which the history asks "
        "for that the worker rewound to.",
    )


def _fail(
    instance: Instance,
    command: CompleteTurn,
    now: datetime,
    failure: messages.TaskFailureDetails,
) -> Transition:
    draft = Draft(instance, now)
    draft.consume(command.turn.consumed)
    draft.record_encoded(command.turn.new_events)
    return endings.end(draft, messages.OrchestrationStatus.FAILED, failure=failure, event_id=-1)


def _go_on(
    instance: Instance,
    command: CompleteTurn,
    history: Sequence[messages.HistoryEvent],
    execution_id: str,
    now: datetime,
) -> Transition:
    consumed = command.turn.consumed
    open_ = unanswered(history)
    renewed = Instance(
        instance.instance_id,
        replace(instance.origin, execution_id=execution_id),
        instance.progress._replace(history_length=0),
        instance.inbox.keeping(
            [row.number for row in instance.inbox if row.number not in consumed]
        ),
        # A worker may still be at it, and its result will do.
        {row.number: row for row in instance.tasks.values() if row.task_id in open_.tasks},
    )
    draft = Draft(renewed, now)
    draft.record_encoded(codec.encode(event) for event in history)
    reason = _reason(command)
    resume(draft, open_, lambda start, link: RewindChild(start, link, reason))
    transition = draft.finish(turn_at=command.turn.at)
    return transition._replace(
        origin=renewed.origin,
        inbox_keep=tuple(row.number for row in renewed.inbox),
        tasks_add=(*renewed.tasks.values(), *transition.tasks_add),
    )


def _reason(command: CompleteTurn) -> str | None:
    """Why the instance was rewound, for its children."""
    for raw in command.turn.new_events:
        rewound = codec.decode(messages.HistoryEvent, raw).execution_rewound
        if rewound is not None:
            return rewound.reason
    return None
