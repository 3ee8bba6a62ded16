"""What an orchestrator sends to entities: signals, calls, lock requests and unlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol import events, messages, oneofs

from . import ids, pending
from .entities.commands import CallEntity, Caller, RequestLock, SignalEntity
from .inbox import RowKind
from .state import LockRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .transition_builder import TransitionBuilder


def unsupported(action: messages.SendEntityMessageAction) -> str | None:
    """What of the message is not supported; None when all of it is."""
    kind = oneofs.which(action)
    if kind not in _MESSAGES:
        return f"the message '{kind or 'of an unknown kind'}' to an entity"
    request = action.entity_lock_requested
    return None if request is None else unsupported_lock_set(request.lock_set)


def unsupported_lock_set(lock_set: Sequence[str]) -> str | None:
    """Why these entities cannot be locked together; None when they can."""
    if not lock_set:
        return "locking an empty set of entities"
    wrong = next((each for each in lock_set if ids.normalized_entity_id(each) is None), None)
    return None if wrong is None else f"locking {wrong!r}, which is not an entity (@name@key)"


def send(
    builder: TransitionBuilder, action_id: int, action: messages.SendEntityMessageAction
) -> None:
    kind = oneofs.which(action)
    _MESSAGES[kind](builder, action_id, getattr(action, kind))


def _signal(
    builder: TransitionBuilder, action_id: int, message: messages.EntityOperationSignaledEvent
) -> None:
    target = message.target_instance_id or ""
    builder.record(
        events.entity_operation_signaled(
            action_id,
            target,
            message.operation,
            message.input,
            request_id=message.request_id,
            scheduled_time=message.scheduled_time,
            at=builder.now,
        )
    )
    entity_id = ids.normalized_entity_id(target)
    # A signal without a valid address is dropped: nobody waits for its result.
    if entity_id is not None:
        scheduled_at = message.scheduled_time
        signal = SignalEntity(message.request_id, message.operation, message.input, scheduled_at)
        builder.send(entity_id, signal)


def _call(
    builder: TransitionBuilder, action_id: int, message: messages.EntityOperationCalledEvent
) -> None:
    request_id = message.request_id
    if builder.has_call(request_id):
        return
    builder.record(
        events.entity_operation_called(
            action_id,
            message.target_instance_id,
            message.operation,
            message.input,
            request_id=request_id,
            parent=messages.OrchestrationInstance(
                instance_id=builder.instance.instance_id,
                execution_id=builder.instance.origin.execution_id,
            ),
            scheduled_time=message.scheduled_time,
            at=builder.now,
        )
    )
    call_entity(builder, message)


def call_entity(builder: TransitionBuilder, message: messages.EntityOperationCalledEvent) -> None:
    """Wait for the entity's answer, and ask it."""
    target = message.target_instance_id or ""
    entity_id = ids.normalized_entity_id(target)
    if entity_id is None:
        _fail_call(builder, message.request_id, target)
        return
    builder.add_call(message.request_id, entity_id)
    builder.send(
        entity_id,
        CallEntity(
            message.request_id,
            message.operation,
            _caller(builder),
            message.input,
            message.scheduled_time,
        ),
    )


def _fail_call(builder: TransitionBuilder, request_id: str, target: str) -> None:
    failure = messages.TaskFailureDetails(
        error_type="InvalidArgument",
        error_message=f"Entity not called: {target!r} is not an entity (@name@key).",
    )
    failed = events.entity_operation_failed(request_id, failure, at=builder.now)
    builder.enqueue(RowKind.RESULT, failed, answers=pending.call(request_id))


def _request_lock(
    builder: TransitionBuilder, action_id: int, message: messages.EntityLockRequestedEvent
) -> None:
    section = message.critical_section_id
    if builder.has_lock(section):
        return
    builder.record(
        events.entity_lock_requested(
            action_id,
            section,
            message.lock_set,
            position=message.position,
            parent_instance_id=builder.instance.instance_id,
            at=builder.now,
        )
    )
    request_lock(builder, section, message.lock_set)


def request_lock(builder: TransitionBuilder, section: str, entity_ids: Sequence[str]) -> None:
    """Ask for the first entity; each entity that is locked leads to the next request."""
    # One order for all prevents deadlocks; SDKs sort their sets too, but not all alike.
    lock_set = tuple(sorted({ids.normalized_entity_id(each) or each for each in entity_ids}))
    builder.set_lock(LockRow(section, lock_set))
    builder.send(lock_set[0], RequestLock(section, lock_set, 0, _caller(builder)))


def _unlock(
    builder: TransitionBuilder, action_id: int, message: messages.EntityUnlockSentEvent
) -> None:
    builder.record(
        events.entity_unlock_sent(
            action_id,
            message.critical_section_id,
            message.target_instance_id,
            parent_instance_id=builder.instance.instance_id,
            at=builder.now,
        )
    )
    builder.release_lock(message.critical_section_id)


def _caller(builder: TransitionBuilder) -> Caller:
    return Caller(builder.instance.instance_id, builder.instance.origin.execution_id)


_MESSAGES: dict[str, Callable[[TransitionBuilder, int, Any], None]] = {
    "entity_operation_signaled": _signal,
    "entity_operation_called": _call,
    "entity_lock_requested": _request_lock,
    "entity_unlock_sent": _unlock,
}
