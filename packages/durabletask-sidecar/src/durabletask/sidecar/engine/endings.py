"""How an instance ends, and how its parent hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import events, messages

from .commands import ChildFinished
from .failure_details import trimmed
from .transition import FollowUp

if TYPE_CHECKING:
    from .draft import Draft
    from .state import Instance
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
    if status == messages.OrchestrationStatus.TERMINATED:
        draft.clear_tasks()
    if draft.instance.origin.parent is not None:
        notice = _notice(draft.instance, status, result, failure)
        draft.tell(notice.instance_id, notice.command)
    return draft.finish(
        status=status,
        completed_at=draft.now,
        output=result,
        failure=failure,
        suspended_at=None,
        suspend_reason=None,
    )


def _notice(
    instance: Instance,
    status: messages.OrchestrationStatus,
    result: str | None,
    failure: messages.TaskFailureDetails | None,
) -> FollowUp:
    if status == messages.OrchestrationStatus.COMPLETED:
        return report(instance, result=result)
    return report(instance, failure=failure or _reason(instance.instance_id, status, result))


def report(
    child: Instance,
    *,
    result: str | None = None,
    failure: messages.TaskFailureDetails | None = None,
) -> FollowUp:
    """The command that tells the child's parent how it ended."""
    parent = child.origin.parent
    assert parent is not None
    finished = ChildFinished(
        parent.execution_id, parent.task_id, child.instance_id, result, failure
    )
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
