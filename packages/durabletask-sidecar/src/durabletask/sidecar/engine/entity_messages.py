"""What an orchestrator sends to entities: signals, calls, lock requests and unlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.protocol import events, messages, oneofs

from . import outstanding
from .entities import ids
from .entities.commands import CallEntity, Caller, RequestLock, SignalEntity
from .inbox import RowKind
from .state import LockRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .draft import Draft


def complaint(action: messages.SendEntityMessageAction) -> str | None:
    """Why the message cannot be sent; None when it can."""
    kind = oneofs.which(action)
    if kind not in _MESSAGES:
        return f"the message '{kind or 'of an unknown kind'}' to an entity"
    request = action.entity_lock_requested
    return None if request is None else lock_complaint(request.lock_set)


def lock_complaint(lock_set: Sequence[str]) -> str | None:
    """Why these entities cannot be locked; None when they can."""
    if not lock_set:
        return "locking no entity at all"
    wrong = next((each for each in lock_set if ids.normalized(each) is None), None)
    return None if wrong is None else f"locking {wrong!r}, which is not an entity (@name@key)"


def send(draft: Draft, action_id: int, action: messages.SendEntityMessageAction) -> None:
    kind = oneofs.which(action)
    _MESSAGES[kind](draft, action_id, getattr(action, kind))


def _signal(draft: Draft, action_id: int, message: messages.EntityOperationSignaledEvent) -> None:
    target = message.target_instance_id or ""
    draft.record(
        events.entity_operation_signaled(
            action_id,
            target,
            message.operation,
            message.input,
            request_id=message.request_id,
            scheduled_time=message.scheduled_time,
            at=draft.now,
        )
    )
    entity_id = ids.normalized(target)
    # Nobody waits for a signal, nor to hear that it had no address.
    if entity_id is not None:
        scheduled_at = message.scheduled_time
        signal = SignalEntity(message.request_id, message.operation, message.input, scheduled_at)
        draft.tell(entity_id, signal)


def _call(draft: Draft, action_id: int, message: messages.EntityOperationCalledEvent) -> None:
    request_id = message.request_id
    if draft.has_call(request_id):
        return
    draft.record(
        events.entity_operation_called(
            action_id,
            message.target_instance_id,
            message.operation,
            message.input,
            request_id=request_id,
            parent=messages.OrchestrationInstance(
                instance_id=draft.instance.instance_id,
                execution_id=draft.instance.origin.execution_id,
            ),
            scheduled_time=message.scheduled_time,
            at=draft.now,
        )
    )
    call_entity(draft, message)


def call_entity(draft: Draft, message: messages.EntityOperationCalledEvent) -> None:
    """Wait for the entity's answer, and ask it."""
    target = message.target_instance_id or ""
    entity_id = ids.normalized(target)
    if entity_id is None:
        _fail_call(draft, message.request_id, target)
        return
    draft.add_call(message.request_id, entity_id)
    draft.tell(
        entity_id,
        CallEntity(
            message.request_id,
            message.operation,
            _caller(draft),
            message.input,
            message.scheduled_time,
        ),
    )


def _fail_call(draft: Draft, request_id: str, target: str) -> None:
    failure = messages.TaskFailureDetails(
        error_type="InvalidArgument",
        error_message=f"Entity not called: {target!r} is not an entity (@name@key).",
    )
    failed = events.entity_operation_failed(request_id, failure, at=draft.now)
    draft.enqueue(RowKind.RESULT, failed, answers=outstanding.call(request_id))


def _request_lock(draft: Draft, action_id: int, message: messages.EntityLockRequestedEvent) -> None:
    section = message.critical_section_id
    if draft.has_lock(section):
        return
    draft.record(
        events.entity_lock_requested(
            action_id,
            section,
            message.lock_set,
            position=message.position,
            parent_instance_id=draft.instance.instance_id,
            at=draft.now,
        )
    )
    request_lock(draft, section, message.lock_set)


def request_lock(draft: Draft, section: str, entity_ids: Sequence[str]) -> None:
    """Ask for the first entity; from there the request goes on by itself."""
    # SDKs sort their sets, but not all alike, and one order for all keeps off deadlocks.
    lock_set = tuple(sorted({ids.normalized(each) or each for each in entity_ids}))
    draft.set_lock(LockRow(section, lock_set))
    draft.tell(lock_set[0], RequestLock(section, lock_set, 0, _caller(draft)))


def _unlock(draft: Draft, action_id: int, message: messages.EntityUnlockSentEvent) -> None:
    draft.record(
        events.entity_unlock_sent(
            action_id,
            message.critical_section_id,
            message.target_instance_id,
            parent_instance_id=draft.instance.instance_id,
            at=draft.now,
        )
    )
    draft.leave(message.critical_section_id)


def _caller(draft: Draft) -> Caller:
    return Caller(draft.instance.instance_id, draft.instance.origin.execution_id)


_MESSAGES: dict[str, Callable[[Draft, int, Any], None]] = {
    "entity_operation_signaled": _signal,
    "entity_operation_called": _call,
    "entity_lock_requested": _request_lock,
    "entity_unlock_sent": _unlock,
}
