"""Locks: an orchestration has several entities for itself, until it gives them back.

A request visits the entities of its set in the order of their ids and locks each when it
comes to the head of its queue. As all sets are ordered alike, no two orchestrations wait
for each other (engine.md 2.12, after the Durable Task Framework).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, events, messages
from durabletask.sidecar.engine.commands import LockGranted

from .commands import RequestLock
from .draft import EntityDraft, open_draft
from .queue import MessageKind, MessageRow
from .state import EntityTransition, Holder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from .commands import ReleaseLock
    from .state import Entity


def request(
    entity: Entity | None,
    entity_id: str,
    command: RequestLock,
    now: datetime,
    new_id: Callable[[], str],
) -> EntityTransition:
    """Queue the request; it is granted at once when nothing is before it."""
    draft = open_draft(entity, entity_id, now, new_id)
    section = command.critical_section_id
    event = events.entity_lock_requested(
        -1,
        section,
        command.lock_set,
        position=command.position,
        parent_instance_id=command.caller.instance_id,
        at=now,
    )
    draft.enqueue(MessageKind.LOCK, section, event, caller=command.caller)
    grant_next(draft)
    return draft.finish()


def release(
    entity: Entity | None,
    _entity_id: str,
    command: ReleaseLock,
    now: datetime,
    _new_id: Callable[[], str],
) -> EntityTransition:
    if entity is None:
        return EntityTransition()
    draft = EntityDraft(entity, now)
    requests = list(_requests(entity, command))
    for row in requests:
        draft.remove(row.number)
    holds = entity.progress.holder == Holder(command.holder_id, command.critical_section_id)
    if not holds and not requests:
        return EntityTransition()
    if holds:
        draft.holder = None
    grant_next(draft)
    return draft.finish()


def _requests(entity: Entity, command: ReleaseLock) -> Iterable[MessageRow]:
    if not entity.queue.holds(command.critical_section_id):
        return
    for row in entity.queue:
        if row.kind is MessageKind.LOCK and row.request_id == command.critical_section_id:
            yield row


def grant_next(draft: EntityDraft) -> None:
    """Lock the entity for the request at the head of its queue, if there is one."""
    head = draft.head()
    if head is None or head.kind is not MessageKind.LOCK:
        return
    assert head.caller is not None
    draft.remove(head.number)
    draft.holder = Holder(head.caller.instance_id, head.request_id)
    _pass_on(draft, head)


def _pass_on(draft: EntityDraft, row: MessageRow) -> None:
    """Ask for the next entity of the set; tell the orchestration when it has them all."""
    requested = codec.decode(messages.HistoryEvent, row.event).entity_lock_requested
    caller = row.caller
    assert requested is not None
    assert caller is not None
    lock_set = tuple(requested.lock_set)
    position = requested.position + 1
    if position < len(lock_set):
        following = RequestLock(row.request_id, lock_set, position, caller)
        draft.tell(lock_set[position], following)
    else:
        granted = LockGranted(row.request_id, caller.execution_id, lock_set)
        draft.tell(caller.instance_id, granted)
