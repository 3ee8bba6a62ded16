"""Queue signals and calls for an entity, and remove entities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import events, messages
from durabletask.sidecar.engine.transition import Purged

from .queue import MessageKind
from .state import EntityTransition
from .transition_builder import open_builder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import CallEntity, CleanEntity, PurgeEntity, SignalEntity
    from .state import Entity

# The event in the queue has no id; the action's id is in the history of the orchestration.
_NO_EVENT_ID = -1


def signal(
    entity: Entity | None,
    entity_id: str,
    command: SignalEntity,
    now: datetime,
    new_id: Callable[[], str],
) -> EntityTransition:
    if entity is not None and entity.queue.find(None, command.request_id) is not None:
        return EntityTransition()
    builder = open_builder(entity, entity_id, now, new_id)
    event = events.entity_operation_signaled(
        _NO_EVENT_ID,
        entity_id,
        command.operation,
        command.input,
        request_id=command.request_id,
        scheduled_time=command.scheduled_at,
        at=now,
    )
    at = command.scheduled_at
    builder.enqueue(MessageKind.SIGNAL, command.request_id, event, visible_at=at)
    return builder.build()


def call(
    entity: Entity | None,
    entity_id: str,
    command: CallEntity,
    now: datetime,
    new_id: Callable[[], str],
) -> EntityTransition:
    caller = command.caller
    waiting = None
    if entity is not None:
        waiting = entity.queue.find(caller.instance_id, command.request_id)
    if waiting is not None and waiting.caller == caller:
        return EntityTransition()
    builder = open_builder(entity, entity_id, now, new_id)
    event = events.entity_operation_called(
        _NO_EVENT_ID,
        entity_id,
        command.operation,
        command.input,
        request_id=command.request_id,
        parent=messages.OrchestrationInstance(
            instance_id=caller.instance_id, execution_id=caller.execution_id
        ),
        scheduled_time=command.scheduled_at,
        at=now,
    )
    if waiting is not None:
        # The caller was rewound: its new execution waits for the answer now.
        builder.change_caller(waiting, event, caller)
        return builder.build()
    at = command.scheduled_at
    builder.enqueue(MessageKind.CALL, command.request_id, event, caller=caller, visible_at=at)
    return builder.build()


def purge(
    entity: Entity | None,
    _entity_id: str,
    _command: PurgeEntity,
    _now: datetime,
    _new_id: Callable[[], str],
) -> EntityTransition:
    """Remove the entity, unless an orchestration has locked it or waits for it.

    That orchestration would wait for ever, or continue without the lock that it relies on.
    """
    if entity is None or entity.progress.holder is not None:
        return EntityTransition(reply=Purged(0))
    if any(row.caller is not None for row in entity.queue):
        return EntityTransition(reply=Purged(0))
    return EntityTransition(reply=Purged(1), removes=True)


def clean(
    entity: Entity | None,
    _entity_id: str,
    _command: CleanEntity,
    _now: datetime,
    _new_id: Callable[[], str],
) -> EntityTransition:
    if entity is None or not entity.is_empty:
        return EntityTransition(reply=Purged(0))
    return EntityTransition(reply=Purged(1), removes=True)
