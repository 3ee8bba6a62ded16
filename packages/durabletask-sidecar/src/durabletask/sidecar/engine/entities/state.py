"""The state of one entity, and what a command changes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.transition import ACCEPTED

from .queue import MessageQueue, MessageRow

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.sidecar.engine.transition import FollowUp, Reply

__all__ = ["Entity", "EntityProgress", "EntityTransition", "Holder", "MessageRow", "blank"]

# Bytes that Python needs for a row besides its payload, measured roughly on CPython 3.11.
_ROW = 600


@dataclass(frozen=True, slots=True)
class Holder:
    """The orchestration that has locked the entity."""

    instance_id: str
    critical_section_id: str


@dataclass(frozen=True, slots=True)
class EntityProgress:
    """Everything of an entity except the messages in its queue."""

    execution_id: str
    """A new one after the entity was purged, so that batches sent before are stale."""
    modified_at: datetime
    state: str | None = None
    holder: Holder | None = None
    rows_made: int = 0
    """Counts messages, so that no number is used twice."""


@dataclass(frozen=True, slots=True)
class EntityTransition:
    """What a command changes of one entity."""

    reply: Reply = ACCEPTED
    removes: bool = False
    progress: EntityProgress | None = None
    messages_add: tuple[MessageRow, ...] = ()
    messages_remove: tuple[int, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    for_children: None = None
    """Entities have no children."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit for this entity."""
        return self.progress is not None or self.removes


@dataclass(slots=True)
class Entity:
    """An entity with its messages. Only `absorb` changes it; rules only read it."""

    entity_id: str
    progress: EntityProgress
    queue: MessageQueue = field(default_factory=MessageQueue)

    @property
    def is_empty(self) -> bool:
        """Whether it has no state, no lock and no message, and can be removed without loss."""
        progress = self.progress
        return progress.state is None and progress.holder is None and not len(self.queue)

    @property
    def holder_id(self) -> str | None:
        holder = self.progress.holder
        return None if holder is None else holder.instance_id

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory, with a constant for each row."""
        return len(self.progress.state or "") + self.queue.size + _ROW * (1 + len(self.queue))

    def due_at(self) -> datetime | None:
        """When the next operation may run; None when none may."""
        return self.queue.visible_at(self.holder_id)

    def absorb(self, transition: EntityTransition) -> None:
        """Apply the changes of the transition."""
        if transition.progress is not None:
            self.progress = transition.progress
        for number in transition.messages_remove:
            self.queue.remove(number)
        for row in transition.messages_add:
            self.queue.add(row)


def blank(entity_id: str, beginning: EntityTransition) -> Entity:
    """The entity that the transition creates, before its messages are absorbed."""
    assert beginning.progress is not None
    return Entity(entity_id, beginning.progress)
