"""How an instance ends, and how its parent hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import events, messages

from .commands import ChildFinished
from .failure_details import trimmed
from .transition import FollowUp

if TYPE_CHECKING:
    from .draft import Draft
    from .state import ParentLink
    from .transition import Transition


def end(
    draft: Draft,
    status: messages.OrchestrationStatus,
    *,
    result: str | None = None,
    failure: messages.TaskFailureDetails | None = None,
    event_id: int,
) -> Transition:
    """Record the end, drop what waits, and tell the parent.

    Activities that were scheduled before still run, and their results are dropped: a
    fire-and-forget call is a promise. Only termination takes them back.
    """
    failure = None if failure is None else trimmed(failure)
    completed = events.execution_completed(status, result, failure, at=draft.now, event_id=event_id)
    draft.record(completed)
    draft.clear_inbox()
    draft.clear_children()
    draft.clear_calls()
    draft.leave_all()
    if status == messages.OrchestrationStatus.TERMINATED:
        draft.clear_tasks()
    parent = draft.instance.origin.parent
    if parent is not None:
        told = notice(parent, draft.instance.instance_id, status, result, failure)
        draft.tell(told.instance_id, told.command)
    return draft.finish(
        status=status,
        completed_at=draft.now,
        output=result,
        failure=failure,
        suspended_at=None,
        suspend_reason=None,
    )


def failing(failure: messages.TaskFailureDetails) -> messages.OrchestratorAction:
    """The action that ends an orchestration in a failure."""
    return messages.OrchestratorAction(
        id=-1,
        complete_orchestration=messages.CompleteOrchestrationAction(
            orchestration_status=messages.OrchestrationStatus.FAILED, failure_details=failure
        ),
    )


def notice(
    parent: ParentLink,
    child_id: str,
    status: messages.OrchestrationStatus,
    result: str | None,
    failure: messages.TaskFailureDetails | None,
) -> FollowUp:
    """The command that tells a parent how its child has ended."""
    if status == messages.OrchestrationStatus.COMPLETED:
        return report(parent, child_id, result=result)
    return report(parent, child_id, failure=failure or _reason(child_id, status, result))


def report(
    parent: ParentLink,
    child_id: str,
    *,
    result: str | None = None,
    failure: messages.TaskFailureDetails | None = None,
) -> FollowUp:
    """The command that gives a parent what came of its call."""
    finished = ChildFinished(parent.execution_id, parent.task_id, child_id, result, failure)
    return FollowUp(parent.instance_id, finished)


def _reason(
    instance_id: str, status: messages.OrchestrationStatus, output: str | None
) -> messages.TaskFailureDetails:
    # Other engines leave the details out, and the parent fails without a reason.
    how = status.name.capitalize()
    text = f"Sub-orchestration '{instance_id}' was {how.lower()}"
    if status == messages.OrchestrationStatus.FAILED:
        text = f"Sub-orchestration '{instance_id}' failed without saying why"
    return messages.TaskFailureDetails(
        error_type=f"Orchestration{how}",
        error_message=f"{text}: {output}" if output else f"{text}.",
    )
