"""How an execution ends: completed, failed, canceled, terminated, or continued as new."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import events, messages

from .failure_details import limit_depth
from .inbox import RowKind
from .results import report_end_to_parent
from .starting import start_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from .transition import Transition
    from .transition_builder import TransitionBuilder


def complete(
    builder: TransitionBuilder,
    status: messages.OrchestrationStatus,
    *,
    result: str | None = None,
    failure: messages.TaskFailureDetails | None = None,
    event_id: int,
) -> Transition:
    """Record the end, drop what is pending, and tell the parent.

    Activities that were scheduled before still run, and their results are dropped:
    fire-and-forget activities may outlive the instance. Only termination cancels them.
    """
    failure = None if failure is None else limit_depth(failure)
    builder.record(
        events.execution_completed(status, result, failure, at=builder.now, event_id=event_id)
    )
    builder.clear_inbox()
    builder.clear_children()
    builder.clear_calls()
    builder.release_all_locks()
    if status == messages.OrchestrationStatus.TERMINATED:
        builder.clear_tasks()
    parent = builder.instance.origin.parent
    if parent is not None:
        instance_id = builder.instance.instance_id
        report = report_end_to_parent(parent, instance_id, status, result, failure)
        builder.send(report.instance_id, report.command)
    return builder.build(
        status=status,
        completed_at=builder.now,
        output=result,
        failure=failure,
        suspended_at=None,
        suspend_reason=None,
    )


def continue_as_new(
    builder: TransitionBuilder,
    completion: messages.CompleteOrchestrationAction,
    new_id: Callable[[], str],
    router: messages.TaskRouter | None = None,
) -> Transition:
    """Begin the next execution with an empty history.

    What the ending execution asked of others has been sent to them already. The results of
    its tasks, timers and children are dropped. Events that it did not read stay: carried
    ones first, then those that came in since.
    """
    instance = builder.instance
    origin = replace(
        instance.origin,
        execution_id=new_id(),
        input=completion.result,
        version=completion.new_version or instance.origin.version,
        # The delay was for the first execution.
        scheduled_start=None,
    )
    for event in completion.carryover_events:
        raised = event.event_raised
        if raised is not None:
            at = event.timestamp or builder.now
            builder.enqueue(RowKind.CARRIED, events.event_raised(raised.name, raised.input, at=at))
    status = messages.OrchestrationStatus
    suspended = instance.progress.is_suspended
    return builder.build_next_execution(
        origin,
        start_event(instance.instance_id, origin, builder.now, router),
        status=status.SUSPENDED if suspended else status.RUNNING,
    )
