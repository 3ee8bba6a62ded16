"""A turn of an orchestration: which events a worker gets, and what its response changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages

from . import completion, orchestrator_actions, rewind, usual_events
from .commands import DispatchedTurn
from .inbox import RowKind
from .transition import Stale, Transition, refuse
from .transition_builder import TransitionBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from .commands import CompleteTurn
    from .inbox import Inbox, InboxRow
    from .state import Instance

# Events in one turn; the rest waits for the next.
_MAX_EVENTS = 1000
# Bytes of a work item besides its events: ids, token and trace context.
_OVERHEAD = 4096
# The smallest step of time that both protobuf and Python can represent.
_TICK = timedelta(microseconds=1)
# Bytes of the tag and the length before each event.
_FRAME = 8


def prepare(instance: Instance, now: datetime, room: int) -> DispatchedTurn | None:
    """What the next turn gets; None when the orchestrator has nothing to do.

    `room` is how many bytes of events the message has room for.
    """
    due_at = instance.due_at()
    if due_at is None or due_at > now:
        return None
    batch = list(_capped(_next_rows(instance.inbox.due(now)), room - _OVERHEAD))
    # This is the orchestrator's clock: it must not run backwards. Nor may it stand still, also
    # from one execution to the next, since workers derive their ids from it.
    last = instance.progress.turn_at
    at = now if last is None else max(now, last + _TICK)
    started = usual_events.orchestrator_started(at)
    return DispatchedTurn(
        execution_id=instance.origin.execution_id,
        at=at,
        history_length=instance.progress.history_length,
        consumed=tuple([row.number for row in batch]),
        new_events=(started, *[row.event for row in batch if row.kind is not RowKind.WAKE_UP]),
        rewinds=batch[0].kind is RowKind.REWIND,
    )


def _next_rows(due: list[InboxRow]) -> list[InboxRow]:
    """The rows that may go into one turn: a rewind is alone in its turn."""
    return [row for row in due if row.kind is RowKind.REWIND] or due


def _capped(rows: Iterable[InboxRow], room: int) -> Iterable[InboxRow]:
    size = 0
    for count, row in enumerate(rows):
        size += len(row.event) + _FRAME
        # Suspended and resumed stay together: with the first alone, the worker would do nothing.
        is_first = count == 0 or row.kind is RowKind.CONTROL
        if not is_first and (count >= _MAX_EVENTS or size > room):
            return
        yield row


def complete(
    instance: Instance | None,
    instance_id: str,
    command: CompleteTurn,
    now: datetime,
    new_id: Callable[[], str],
) -> Transition:
    """Record the events of the turn, carry its actions out, and end the execution if asked to."""
    turn = command.turn
    if instance is None or not _is_current(instance, turn):
        return refuse(Stale(f"the turn of '{instance_id}' is not pending"))
    if turn.rewinds:
        return rewind.complete(instance, command, now, new_id)
    builder = _record_turn(instance, command, now)
    outcome = orchestrator_actions.carry_out(builder, command.actions)
    if outcome.failure is not None:
        builder = _record_turn(instance, command, now)
        failed = messages.OrchestrationStatus.FAILED
        return completion.complete(builder, failed, failure=outcome.failure, event_id=-1)
    if outcome.lacks_version:
        return _stall(_record_turn(instance, command, now))
    if outcome.ending is not None:
        return _end_execution(builder, outcome.ending, new_id)
    return _continue(builder, messages.OrchestrationStatus.RUNNING)


def is_unheard(instance: Instance, command: CompleteTurn) -> bool:
    """Whether nobody but the orchestration itself learns of the turn.

    It starts nothing and ends nothing, and those who wait for a status find the same as before.
    """
    progress = instance.progress
    return (
        not command.actions
        and not command.turn.rewinds
        and progress.status is messages.OrchestrationStatus.RUNNING
        and command.custom_status == progress.custom_status
    )


def _record_turn(instance: Instance, command: CompleteTurn, now: datetime) -> TransitionBuilder:
    """A builder with the turn's events, and none of its actions."""
    turn = command.turn
    builder = TransitionBuilder(instance, now)
    builder.consume(turn.consumed)
    builder.record_encoded(_turn_events(turn, command.version))
    kept = instance.progress.custom_status if command.keeps_status else None
    builder.set_progress(
        custom_status=kept if command.custom_status is None else command.custom_status,
        trace_context=command.trace_context or instance.progress.trace_context,
        turn_at=turn.at,
    )
    return builder


def _turn_events(
    turn: DispatchedTurn, version: messages.OrchestrationVersion | None
) -> tuple[bytes, ...]:
    """The events of the turn; the first tells later turns which version of the code ran it."""
    if version is None:
        return turn.new_events
    started = events.orchestrator_started(turn.at, version=version)
    return (codec.encode(started), *turn.new_events[1:])


def _stall(builder: TransitionBuilder) -> Transition:
    """Wait for a worker with the version; the next event, whatever it is, lets one try.

    The turn's events are history now and will be replayed, so that none is lost.
    """
    reason = messages.StalledReason.VERSION_NOT_AVAILABLE
    name = builder.instance.origin.name
    text = f"The worker does not have the version of '{name}' that this history needs."
    builder.record(events.execution_stalled(reason, text, at=builder.now))
    return _continue(builder, messages.OrchestrationStatus.STALLED)


def _continue(builder: TransitionBuilder, status: messages.OrchestrationStatus) -> Transition:
    if builder.instance.progress.is_suspended:
        status = messages.OrchestrationStatus.SUSPENDED
    return builder.build(status=status)


def _end_execution(
    builder: TransitionBuilder, action: messages.OrchestratorAction, new_id: Callable[[], str]
) -> Transition:
    ending = action.complete_orchestration
    assert ending is not None
    status = ending.orchestration_status
    if status == messages.OrchestrationStatus.CONTINUED_AS_NEW:
        router = orchestrator_actions.router_of(action)
        return completion.continue_as_new(builder, ending, new_id, router)
    return completion.complete(
        builder,
        status,
        result=ending.result,
        failure=ending.failure_details,
        event_id=action.id,
    )


def _is_current(instance: Instance, turn: DispatchedTurn) -> bool:
    return (
        instance.is_live
        and instance.origin.execution_id == turn.execution_id
        and instance.progress.history_length == turn.history_length
        # Callers may give the same id to two executions.
        and _has_what_was_sent(instance.inbox, turn)
    )


def _has_what_was_sent(inbox: Inbox, turn: DispatchedTurn) -> bool:
    """Whether the inbox has the rows that went into the turn, as the worker saw them."""
    sent = iter(turn.new_events[1:])
    for number in turn.consumed:
        row = inbox.get(number)
        if row is None or (row.kind is not RowKind.WAKE_UP and row.event != next(sent, None)):
            return False
    return True
