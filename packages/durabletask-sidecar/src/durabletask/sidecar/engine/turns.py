"""A turn of an orchestration: what goes into it, and what is made of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import endings, generations, orchestrator_actions, rewinding
from .commands import TurnTaken
from .draft import Draft
from .inbox import RowKind
from .transition import Stale, Transition, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from .commands import CompleteTurn
    from .inbox import InboxRow
    from .state import Instance

# One turn takes at most so many events; the rest waits for the next.
_LARGEST_BATCH = 1000
# What a work item holds besides events: ids, token and trace context.
_OVERHEAD = 4096
# Of each event: tag and length.
_FRAME = 8


def prepare(instance: Instance, now: datetime, room: int) -> TurnTaken | None:
    """What the next turn sees; None when there is nothing to do for an orchestrator.

    `room` is how many bytes of events the message has room for.
    """
    due_at = instance.due_at()
    if due_at is None or due_at > now:
        return None
    batch = list(_capped(_next_rows(instance.inbox.due(now)), room - _OVERHEAD))
    # It is the orchestrator's clock, so it must not run backwards.
    at = max(now, instance.progress.turn_at or now)
    started = codec.encode(events.orchestrator_started(at))
    return TurnTaken(
        execution_id=instance.origin.execution_id,
        at=at,
        generation_length=instance.progress.history_length,
        consumed=tuple(row.number for row in batch),
        new_events=(started, *(row.event for row in batch if row.kind is not RowKind.NUDGE)),
        rewinds=any(row.kind is RowKind.REWIND for row in batch),
    )


def _next_rows(due: list[InboxRow]) -> list[InboxRow]:
    """What may go into one turn: a worker rewinds only in a turn of its own."""
    return [row for row in due if row.kind is RowKind.REWIND] or due


def _capped(rows: Iterable[InboxRow], room: int) -> Iterable[InboxRow]:
    size = 0
    for count, row in enumerate(rows):
        size += len(row.event) + _FRAME
        # Suspended and resumed must not be parted: the worker would sleep in between.
        is_first = count == 0 or row.kind is RowKind.CONTROL
        if not is_first and (count >= _LARGEST_BATCH or size > room):
            return
        yield row


def complete(
    instance: Instance | None,
    instance_id: str,
    command: CompleteTurn,
    now: datetime,
    new_id: Callable[[], str],
) -> Transition:
    """Commit the turn: its events, then what each action does, then how it ends."""
    turn = command.turn
    if instance is None or not _is_current(instance, turn):
        return refuse(Stale(f"the turn of '{instance_id}' is no longer wanted"))
    if turn.rewinds:
        return rewinding.complete(instance, command, now, new_id)
    draft = Draft(instance, now)
    draft.consume(turn.consumed)
    draft.record_encoded(turn.new_events)
    draft.change(
        custom_status=command.custom_status,
        trace_context=command.trace_context or instance.progress.trace_context,
        turn_at=turn.at,
    )
    unsupported = orchestrator_actions.unsupported(command.actions)
    if unsupported is not None:
        failed = messages.OrchestrationStatus.FAILED
        return endings.end(draft, failed, failure=unsupported, event_id=-1)
    completion = orchestrator_actions.carry_out(draft, command.actions)
    if completion is not None:
        return _conclude(draft, completion, new_id)
    status = messages.OrchestrationStatus
    return draft.finish(
        status=status.SUSPENDED if instance.progress.is_suspended else status.RUNNING
    )


def _conclude(
    draft: Draft, action: messages.OrchestratorAction, new_id: Callable[[], str]
) -> Transition:
    completion = action.complete_orchestration
    assert completion is not None
    status = completion.orchestration_status
    if status == messages.OrchestrationStatus.CONTINUED_AS_NEW:
        return generations.continue_as_new(draft, completion, new_id)
    return endings.end(
        draft,
        status,
        result=completion.result,
        failure=completion.failure_details,
        event_id=action.id,
    )


def _is_current(instance: Instance, turn: TurnTaken) -> bool:
    return (
        instance.is_live
        and instance.origin.execution_id == turn.execution_id
        and instance.progress.history_length == turn.generation_length
        # Callers may give two executions one id.
        and all(number in instance.inbox for number in turn.consumed)
    )
