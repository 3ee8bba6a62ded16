"""Whether those who wait for each other know of each other.

What is looked up is handed in as functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.state import ChildRow, Instance, LockRow

    FindInstance = Callable[[str], Instance | None]
    FindEntity = Callable[[str], Entity | None]


def of_instance(
    instance: Instance, find: FindInstance, find_entity: FindEntity
) -> Iterator[Finding]:
    """What the instance waits for in vain."""
    for child in instance.children.values():
        yield from _child(instance, child, find(child.child_id))
    for call in instance.calls.values():
        entity = find_entity(call.entity_id)
        if entity is None or not _is_asked(entity, instance, call.request_id):
            text = f"{call.entity_id} does not know of the call {call.request_id}"
            yield Finding("answers", text)
    for lock in instance.locks.values():
        yield from _lock(instance, lock, find_entity)


def of_entity(entity: Entity, find: FindInstance) -> Iterator[Finding]:
    """Who has the entity locked and will not give it back."""
    holder = entity.progress.holder
    if holder is None:
        return
    instance = find(holder.instance_id)
    if instance is None or holder.critical_section_id not in instance.locks:
        text = f"it is locked by {holder.instance_id}, which will not unlock it"
        yield Finding("unlocks", text)


def _child(parent: Instance, row: ChildRow, child: Instance | None) -> Iterator[Finding]:
    if child is None:
        yield Finding("children", f"it waits for {row.child_id}, which is not there")
        return
    link = child.origin.parent
    told = None if link is None else (link.instance_id, link.execution_id, link.task_id)
    if told != (parent.instance_id, parent.origin.execution_id, row.task_id):
        yield Finding("children", f"it waits for {row.child_id}, which will not tell it")
    elif not child.is_live:
        yield Finding("children", f"it waits for {row.child_id}, which has ended")


def _is_asked(entity: Entity, instance: Instance, request_id: str) -> bool:
    message = entity.queue.find(instance.instance_id, request_id)
    caller = None if message is None else message.caller
    return caller is not None and caller.execution_id == instance.origin.execution_id


def _lock(instance: Instance, lock: LockRow, find_entity: FindEntity) -> Iterator[Finding]:
    entities = [find_entity(entity_id) for entity_id in lock.lock_set]
    section = lock.critical_section_id
    if lock.is_granted:
        for entity_id, entity in zip(lock.lock_set, entities, strict=True):
            if entity is None or entity.holder_id != instance.instance_id:
                yield Finding("locks", f"it has entered {section}, but has not locked {entity_id}")
    elif not any(each is not None and _is_asked(each, instance, section) for each in entities):
        yield Finding("locks", f"it waits for {section}, but no entity knows of that")
