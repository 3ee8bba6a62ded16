"""A turn of an orchestration: what goes into it, and what is made of its answer."""

from __future__ import annotations

from datetime import timedelta
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
# What protobuf's timestamps and Python's can tell apart.
_TICK = timedelta(microseconds=1)
# Of each event: tag and length.
_FRAME = 8


def prepare(
    instance: Instance, now: datetime, room: int, history_bytes: int = 0
) -> TurnTaken | None:
    """What the next turn sees; None when there is nothing to do for an orchestrator.

    `room` is how many bytes of events the message has room for, `history_bytes` how many are
    stored.
    """
    due_at = instance.due_at()
    if due_at is None or due_at > now:
        return None
    batch = list(_capped(_next_rows(instance.inbox.due(now)), room - _OVERHEAD))
    # It is the orchestrator's clock, so it must not run backwards; nor stand still, for
    # workers make their ids of it, in one generation as in the next.
    last = instance.progress.turn_at
    at = now if last is None else max(now, last + _TICK)
    started = codec.encode(events.orchestrator_started(at))
    return TurnTaken(
        execution_id=instance.origin.execution_id,
        at=at,
        generation_length=instance.progress.history_length,
        consumed=tuple(row.number for row in batch),
        new_events=(started, *(row.event for row in batch if row.kind is not RowKind.NUDGE)),
        rewinds=any(row.kind is RowKind.REWIND for row in batch),
        generation_bytes=history_bytes,
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
    draft.record_encoded(_as_taken(turn, command.version))
    kept = instance.progress.custom_status if command.keeps_status else None
    draft.change(
        custom_status=kept if command.custom_status is None else command.custom_status,
        trace_context=command.trace_context or instance.progress.trace_context,
        turn_at=turn.at,
    )
    unsupported = orchestrator_actions.unsupported(command.actions)
    if unsupported is not None:
        failed = messages.OrchestrationStatus.FAILED
        return endings.end(draft, failed, failure=unsupported, event_id=-1)
    if orchestrator_actions.lack_version(command.actions):
        return _stall(draft)
    completion = orchestrator_actions.carry_out(draft, command.actions)
    if completion is not None:
        return _conclude(draft, completion, new_id)
    return _go_on(draft, messages.OrchestrationStatus.RUNNING)


def _as_taken(turn: TurnTaken, version: messages.OrchestrationVersion | None) -> tuple[bytes, ...]:
    """The events of the turn, of which the first tells later turns what code has taken it."""
    if version is None:
        return turn.new_events
    started = events.orchestrator_started(turn.at, version=version)
    return (codec.encode(started), *turn.new_events[1:])


def _stall(draft: Draft) -> Transition:
    """Wait for another worker; the next event, whatever it is, lets one try.

    Nothing is lost of what the turn has seen: it is history now, and will be replayed.
    """
    reason = messages.StalledReason.VERSION_NOT_AVAILABLE
    name = draft.instance.origin.name
    text = f"No worker that was asked has the version of '{name}' that this history needs."
    draft.record(events.execution_stalled(reason, text, at=draft.now))
    return _go_on(draft, messages.OrchestrationStatus.STALLED)


def _go_on(draft: Draft, status: messages.OrchestrationStatus) -> Transition:
    if draft.instance.progress.is_suspended:
        status = messages.OrchestrationStatus.SUSPENDED
    return draft.finish(status=status)


def _conclude(
    draft: Draft, action: messages.OrchestratorAction, new_id: Callable[[], str]
) -> Transition:
    completion = action.complete_orchestration
    assert completion is not None
    status = completion.orchestration_status
    if status == messages.OrchestrationStatus.CONTINUED_AS_NEW:
        router = orchestrator_actions.routing(action)
        return generations.continue_as_new(draft, completion, new_id, router)
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
