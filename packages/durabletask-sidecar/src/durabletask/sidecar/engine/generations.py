"""Continue-as-new: one execution of an instance follows another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import events, messages

from . import instances
from .inbox import RowKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from .draft import Draft
    from .transition import Transition


def continue_as_new(
    draft: Draft,
    completion: messages.CompleteOrchestrationAction,
    new_id: Callable[[], str],
    router: messages.TaskRouter | None = None,
) -> Transition:
    """Begin the next execution with an empty history.

    What the ending one asked of others has been told to them already. Its tasks, timers
    and children are its own: their results reach nobody. Events that it did not read,
    carried ones first, and those that came in since stay.
    """
    instance = draft.instance
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
            at = event.timestamp or draft.now
            draft.enqueue(RowKind.CARRIED, events.event_raised(raised.name, raised.input, at=at))
    status = messages.OrchestrationStatus
    suspended = instance.progress.is_suspended
    return draft.begin_again(
        origin,
        instances.start_event(instance.instance_id, origin, draft.now, router),
        status=status.SUSPENDED if suspended else status.RUNNING,
    )
