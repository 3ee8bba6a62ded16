"""One entity as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.transition import ACCEPTED

from .queue import MessageQueue, MessageRow

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.sidecar.engine.transition import FollowUp, Reply

__all__ = ["Entity", "EntityProgress", "EntityTransition", "Holder", "MessageRow", "blank"]

# Python's own cost of a row, in bytes, as measured roughly on CPython 3.11.
_ROW = 600


@dataclass(frozen=True, slots=True)
class Holder:
    """The orchestration that has the entity for itself."""

    instance_id: str
    critical_section_id: str


@dataclass(frozen=True, slots=True)
class EntityProgress:
    """All of an entity but the messages that wait for it."""

    execution_id: str
    """Another one after it was purged: what was handed out before is void."""
    modified_at: datetime
    state: str | None = None
    holder: Holder | None = None
    rows_made: int = 0
    """Counts messages, so that no number comes twice."""


@dataclass(frozen=True, slots=True)
class EntityTransition:
    """What one command does to one entity, all of it in one commit."""

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
    """An entity with its messages. Only `absorb` changes it; the engine only reads."""

    entity_id: str
    progress: EntityProgress
    queue: MessageQueue = field(default_factory=MessageQueue)

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost without it."""
        progress = self.progress
        return progress.state is None and progress.holder is None and not len(self.queue)

    @property
    def holder_id(self) -> str | None:
        holder = self.progress.holder
        return None if holder is None else holder.instance_id

    @property
    def size(self) -> int:
        """About how many bytes it holds; what each row costs besides counts as a constant."""
        return len(self.progress.state or "") + self.queue.size + _ROW * (1 + len(self.queue))

    def due_at(self) -> datetime | None:
        """When there is an operation to run; None while there is none that may be."""
        return self.queue.visible_at(self.holder_id)

    def absorb(self, transition: EntityTransition) -> None:
        """Take over what was decided."""
        if transition.progress is not None:
            self.progress = transition.progress
        for number in transition.messages_remove:
            self.queue.remove(number)
        for row in transition.messages_add:
            self.queue.add(row)


def blank(entity_id: str, beginning: EntityTransition) -> Entity:
    """An entity that the transition is about to fill."""
    assert beginning.progress is not None
    return Entity(entity_id, beginning.progress)
