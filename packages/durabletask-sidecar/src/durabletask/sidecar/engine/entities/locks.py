"""Lock entities for an orchestration, and release them.

A request visits the entities of its set in the order of their ids, and locks each when it is
at the head of its queue. As all sets have the same order, no two orchestrations wait for each
other; the Durable Task Framework does the same. Between two entities the request returns to
its orchestration, so that no entity is locked for one that has ended in the meantime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages
from durabletask.sidecar.engine.commands import EntityLocked

from .queue import MessageKind
from .state import EntityTransition, Holder
from .transition_builder import EntityTransitionBuilder, open_builder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .commands import Caller, ReleaseLock, RequestLock
    from .queue import MessageRow
    from .state import Entity


def request(
    entity: Entity | None,
    entity_id: str,
    command: RequestLock,
    now: datetime,
    new_id: Callable[[], str],
) -> EntityTransition:
    """Queue the request; it is granted at once if the queue is empty and the entity free."""
    builder = open_builder(entity, entity_id, now, new_id)
    section = command.critical_section_id
    event = events.entity_lock_requested(
        -1,
        section,
        command.lock_set,
        position=command.position,
        parent_instance_id=command.caller.instance_id,
        at=now,
    )
    builder.enqueue(MessageKind.LOCK, section, event, caller=command.caller)
    grant_next(builder)
    return builder.build()


def release(
    entity: Entity | None,
    _entity_id: str,
    command: ReleaseLock,
    now: datetime,
    _new_id: Callable[[], str],
) -> EntityTransition:
    if entity is None:
        return EntityTransition()
    requested = entity.queue.find(command.holder_id, command.critical_section_id)
    holds = entity.progress.holder == Holder(command.holder_id, command.critical_section_id)
    if not holds and requested is None:
        return EntityTransition()
    builder = EntityTransitionBuilder(entity, now)
    if requested is not None:
        builder.remove(requested.number)
    if holds:
        builder.holder = None
    grant_next(builder)
    return builder.build()


def grant_next(builder: EntityTransitionBuilder) -> None:
    """Lock the entity for the request at the head of its queue, if there is one.

    Further requests of the same orchestration come next then, and are granted too: otherwise
    it would wait for itself.
    """
    while (head := builder.next_message()) is not None and head.kind is MessageKind.LOCK:
        assert head.caller is not None
        builder.remove(head.number)
        builder.holder = Holder(head.caller.instance_id, head.request_id)
        builder.send(head.caller.instance_id, _locked(head, head.caller))


def _locked(row: MessageRow, caller: Caller) -> EntityLocked:
    requested = codec.decode(messages.HistoryEvent, row.event).entity_lock_requested
    assert requested is not None
    lock_set = tuple(requested.lock_set)
    return EntityLocked(row.request_id, caller.execution_id, lock_set, requested.position)
