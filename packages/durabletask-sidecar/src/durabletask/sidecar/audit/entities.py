"""Check that an entity's state and messages agree, and that its lock will be released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages, oneofs
from durabletask.sidecar.engine.entities.queue import MessageKind

from . import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.state import Instance

_KINDS = {
    MessageKind.SIGNAL: "entity_operation_signaled",
    MessageKind.CALL: "entity_operation_called",
    MessageKind.LOCK: "entity_lock_requested",
}


def findings(entity: Entity, due_at: datetime | None) -> Iterator[Finding]:
    """Everything that is wrong with the entity; `due_at` is when the store lists it as due."""
    if due_at != entity.due_at():
        yield Finding(
            "wakes", f"it is due at {due_at} in the store, and should be at {entity.due_at()}"
        )
    for row in entity.queue:
        if row.number > entity.progress.rows_made:
            yield Finding("numbers", f"the number {row.number} will be given to another message")
        try:
            kind = oneofs.which(codec.decode(messages.HistoryEvent, row.event))
        except ValueError as error:
            yield Finding("decodes", f"the message {row.number}: {error}")
            continue
        if kind != _KINDS[row.kind]:
            yield Finding("known", f"the message {row.number} is {kind}")


def link_findings(entity: Entity, find: Callable[[str], Instance | None]) -> Iterator[Finding]:
    """Whether the orchestration that has locked the entity will release it."""
    holder = entity.progress.holder
    if holder is None:
        return
    instance = find(holder.instance_id)
    if instance is None or holder.critical_section_id not in instance.locks:
        text = f"it is locked by {holder.instance_id}, which will not release it"
        yield Finding("unlocks", text)
