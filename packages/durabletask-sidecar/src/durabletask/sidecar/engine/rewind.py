"""Rewind: an instance that has failed retries what failed.

    FAILED --rewind--> RUNNING, with one turn that asks the worker for a new history
           --its response--> RUNNING, with that history in the place of the old one

The worker leaves what failed out of the new history, and the orchestrator asks for it again
in the turn that follows. What was pending when the instance failed is asked for again here,
since its results were dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import completion, entity_messages, orchestrator_actions, starting
from .commands import RewindChild
from .inbox import RowKind
from .pending import pending_work
from .results import report_end_to_parent
from .state import Instance
from .transition import FailedPrecondition, Transition, instance_not_found, refuse
from .transition_builder import TransitionBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from .commands import CompleteTurn, Rewind
    from .pending import PendingWork
    from .state import ParentLink

    NewId = Callable[[], str]


def rewind(
    instance: Instance | None, instance_id: str, command: Rewind, now: datetime, _new_id: NewId
) -> Transition:
    if instance is None:
        return refuse(instance_not_found(instance_id))
    if instance.progress.status != messages.OrchestrationStatus.FAILED:
        status = instance.progress.status.name
        text = f"'{instance_id}' is {status}; only an instance that has FAILED can be rewound"
        return refuse(FailedPrecondition(text))
    return _begin(
        TransitionBuilder(instance, now), events.execution_rewound(command.reason, at=now)
    )


def _begin(builder: TransitionBuilder, rewound: messages.HistoryEvent) -> Transition:
    builder.clear_inbox()
    builder.enqueue(RowKind.REWIND, rewound)
    return builder.build(
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
    """Rewind the child, or start it anew, so that its parent can wait for it again."""
    parent = command.parent
    if instance is None or (not instance.is_live and not _is_child_of(instance, parent)):
        return starting.create(instance, instance_id, command.start, now, new_id, parent)
    if not _is_child_of(instance, parent):
        return Transition(follow_ups=(starting.report_id_taken(instance_id, parent),))
    if instance.progress.status == messages.OrchestrationStatus.FAILED:
        rewound = _rewound_child(instance, command, now)
        return _begin(TransitionBuilder(instance, now), rewound)._replace(parent=parent)
    if instance.is_live:
        return TransitionBuilder(instance, now).build()._replace(parent=parent)
    # It ended while no parent waited for it.
    progress = instance.progress
    report = report_end_to_parent(
        parent, instance_id, progress.status, progress.output, progress.failure
    )
    return Transition(follow_ups=(report,))


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
        parent=starting.parent_info(command.parent),
        parent_trace_context=origin.parent_trace_context,
        tags=origin.tags,
        at=now,
    )


def complete(instance: Instance, command: CompleteTurn, now: datetime, new_id: NewId) -> Transition:
    """Put the worker's new history in the place of the old one, and continue from there."""
    history = _new_history(command.actions)
    started = next((each.execution_started for each in history if each.execution_started), None)
    if started is None:
        return _fail(instance, command, now, _failure_to_rewind(command.actions))
    unsupported = _unsupported(pending_work(history))
    if unsupported is not None:
        return _fail(instance, command, now, unsupported)
    identity = started.orchestration_instance
    execution_id = (identity.execution_id if identity is not None else None) or new_id()
    return _continue(instance, command, history, execution_id, now)


def _new_history(
    actions: Sequence[messages.OrchestratorAction],
) -> Sequence[messages.HistoryEvent]:
    for action in actions:
        if action.rewind_orchestration is not None:
            return action.rewind_orchestration.new_history
    return ()


def _failure_to_rewind(
    actions: Sequence[messages.OrchestratorAction],
) -> messages.TaskFailureDetails:
    """Why the worker did not rewind the instance: its own failure, or that it cannot."""
    for action in actions:
        ending = action.complete_orchestration
        if ending is not None and ending.failure_details is not None:
            return ending.failure_details
    return messages.TaskFailureDetails(
        error_type="RewindNotSupported",
        error_message="The worker did not return a new history: its SDK cannot rewind "
        "orchestrations. Rewind again with a worker that can.",
    )


def _unsupported(work: PendingWork) -> messages.TaskFailureDetails | None:
    """Why what is pending in the new history cannot be asked for again; None when it can."""
    found = (entity_messages.unsupported_lock_set(lock.lock_set) for lock in work.locks.values())
    unsupported = next((each for each in found if each is not None), None)
    if unsupported is None:
        return None
    return messages.TaskFailureDetails(
        error_type="UnsupportedAction",
        error_message=f"durabletask-sidecar does not support {unsupported}, "
        "requested by the rewound history.",
    )


def _fail(
    instance: Instance,
    command: CompleteTurn,
    now: datetime,
    failure: messages.TaskFailureDetails,
) -> Transition:
    builder = TransitionBuilder(instance, now)
    builder.consume(command.turn.consumed)
    builder.record_encoded(command.turn.new_events)
    return completion.complete(
        builder, messages.OrchestrationStatus.FAILED, failure=failure, event_id=-1
    )


def _continue(
    instance: Instance,
    command: CompleteTurn,
    history: Sequence[messages.HistoryEvent],
    execution_id: str,
    now: datetime,
) -> Transition:
    consumed = command.turn.consumed
    work = pending_work(history)
    renewed = Instance(
        instance.instance_id,
        replace(instance.origin, execution_id=execution_id),
        instance.progress._replace(history_length=0, history_bytes=0),
        instance.inbox.keeping(
            [row.number for row in instance.inbox if row.number not in consumed]
        ),
        # A worker may still run such a task, and its result will be used.
        {row.number: row for row in instance.tasks.values() if row.task_id in work.tasks},
    )
    builder = TransitionBuilder(renewed, now)
    builder.record_encoded(codec.encode(event) for event in history)
    reason = _reason(command)
    orchestrator_actions.reissue(
        builder, work, lambda start, link: RewindChild(start, link, reason)
    )
    transition = builder.build(turn_at=command.turn.at)
    return transition._replace(
        origin=renewed.origin,
        inbox_keep=tuple(row.number for row in renewed.inbox),
        tasks_add=(*renewed.tasks.values(), *transition.tasks_add),
    )


def _reason(command: CompleteTurn) -> str | None:
    """The reason that was given for the rewind, which is passed on to the children."""
    for raw in command.turn.new_events:
        rewound = codec.decode(messages.HistoryEvent, raw).execution_rewound
        if rewound is not None:
            return rewound.reason
    return None
