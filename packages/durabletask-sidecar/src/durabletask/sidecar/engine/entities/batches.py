"""A batch of operations: which messages a worker gets, and what its response changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages, oneofs
from durabletask.sidecar.engine import ids
from durabletask.sidecar.engine.commands import EntityCallCompleted, StartDetached, StartInstance
from durabletask.sidecar.engine.failure_details import limit_depth
from durabletask.sidecar.engine.transition import Stale

from .commands import DispatchedBatch, SignalEntity
from .locks import grant_next
from .queue import MessageKind
from .state import EntityTransition
from .transition_builder import EntityTransitionBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from .commands import CompleteBatch
    from .queue import MessageRow
    from .state import Entity

    NewId = Callable[[], str]

# Operations in one batch; the rest waits for the next.
_MAX_OPERATIONS = 500
# Bytes of a work item besides its events and state: ids and token.
_OVERHEAD = 4096
# Bytes of the tag and the length before each event.
_FRAME = 8


def prepare(entity: Entity, now: datetime, room: int) -> list[MessageRow]:
    """The operations that run next, as many as have room; empty when there are none.

    `room` is how many bytes the work item may have. The first is sent whatever its size.
    """
    state = len((entity.progress.state or "").encode())
    waiting = entity.queue.visible(now, entity.holder_id)
    return list(_capped(waiting, room - state - _OVERHEAD))


def _capped(rows: Iterable[MessageRow], room: int) -> Iterable[MessageRow]:
    size = 0
    for count, row in enumerate(rows):
        size += len(row.event) + _FRAME
        if row.kind is MessageKind.LOCK or (count and (count >= _MAX_OPERATIONS or size > room)):
            return
        yield row


def dispatched(entity: Entity, rows: Iterable[MessageRow]) -> DispatchedBatch:
    return DispatchedBatch(entity.progress.execution_id, tuple(row.number for row in rows))


def is_unheard(entity: Entity, command: CompleteBatch) -> bool:
    """Whether nobody but the entity itself learns of the batch.

    It has signals only, whose results are dropped, and sends nothing.
    """
    return not command.actions and all(
        number in entity.queue and entity.queue[number].caller is None
        for number in command.batch.numbers
    )


def complete(
    entity: Entity | None,
    entity_id: str,
    command: CompleteBatch,
    now: datetime,
    new_id: NewId,
) -> EntityTransition:
    """Commit the new state, the results, and all that the operations asked for, at once."""
    batch = command.batch
    if entity is None or not _is_current(entity, batch):
        return EntityTransition(reply=Stale(f"the batch of '{entity_id}' is not pending"))
    builder = EntityTransitionBuilder(entity, now)
    rows = [entity.queue[number] for number in batch.numbers]
    if command.failure is not None:
        for row in rows:
            builder.remove(row.number)
            _answer(builder, row, None, command.failure)
    else:
        # Operations without a result did not run, and stay at the head of the queue.
        for row, result in zip(rows, command.results, strict=False):
            builder.remove(row.number)
            _answer(builder, row, *_outcome(result))
        for action in command.actions:
            _carry_out(builder, action, new_id)
        builder.set_state(command.state)
    grant_next(builder)
    return builder.build()


def _is_current(entity: Entity, batch: DispatchedBatch) -> bool:
    return entity.progress.execution_id == batch.execution_id and all(
        number in entity.queue and _may_run(entity, entity.queue[number])
        for number in batch.numbers
    )


def _may_run(entity: Entity, row: MessageRow) -> bool:
    """Whether no other orchestration has locked the entity since the operation was sent.

    That happens when the holder ends while a worker has its call: the next lock request may
    come before that call in the queue.
    """
    holder_id = entity.holder_id
    return holder_id is None or row.request[0] == holder_id


def _outcome(
    result: messages.OperationResult,
) -> tuple[str | None, messages.TaskFailureDetails | None]:
    if result.success is not None:
        return result.success.result, None
    failure = None if result.failure is None else result.failure.failure_details
    return None, failure or messages.TaskFailureDetails(
        error_type="OperationFailed", error_message="No failure details were reported."
    )


def _answer(
    builder: EntityTransitionBuilder,
    row: MessageRow,
    result: str | None,
    failure: messages.TaskFailureDetails | None,
) -> None:
    if row.caller is None:
        return
    failure = None if failure is None else limit_depth(failure)
    completed = EntityCallCompleted(row.caller.execution_id, row.request_id, result, failure)
    builder.send(row.caller.instance_id, completed)


def _carry_out(
    builder: EntityTransitionBuilder, action: messages.OperationAction, new_id: NewId
) -> None:
    match oneofs.which(action):
        case "send_signal":
            assert action.send_signal is not None
            _signal(builder, action.send_signal, new_id)
        case "start_new_orchestration":
            assert action.start_new_orchestration is not None
            _start(builder, action.start_new_orchestration, new_id)


def _signal(
    builder: EntityTransitionBuilder, action: messages.SendSignalAction, new_id: NewId
) -> None:
    target = ids.normalized_entity_id(action.instance_id)
    # A signal without a valid address is dropped: nobody waits for its result.
    if target is not None:
        signal = SignalEntity(new_id(), action.name, action.input, action.scheduled_time)
        builder.send(target, signal)


def _start(
    builder: EntityTransitionBuilder, action: messages.StartNewOrchestrationAction, new_id: NewId
) -> None:
    start = StartInstance(
        name=action.name,
        input=action.input,
        version=action.version,
        scheduled_start=action.scheduled_time,
        parent_trace_context=action.parent_trace_context,
    )
    builder.send(action.instance_id or new_id(), StartDetached(start))
