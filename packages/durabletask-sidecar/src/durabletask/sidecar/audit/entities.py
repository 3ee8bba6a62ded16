"""Whether an entity's state and its messages agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages, oneofs
from durabletask.sidecar.engine.entities.queue import MessageKind

from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import Entity

_KINDS = {
    MessageKind.SIGNAL: "entity_operation_signaled",
    MessageKind.CALL: "entity_operation_called",
    MessageKind.LOCK: "entity_lock_requested",
}


def findings(entity: Entity, due_at: datetime | None) -> Iterator[Finding]:
    """Everything about the entity that cannot be; `due_at` is what it is woken by."""
    if due_at != entity.due_at():
        yield Finding("wakes", f"it is woken at {due_at}, and should be at {entity.due_at()}")
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
