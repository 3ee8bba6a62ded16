"""Build an entity's transition step by step."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from durabletask.protocol import codec
from durabletask.sidecar.engine.transition import FollowUp

from .queue import MessageKind, MessageRow
from .state import Entity, EntityProgress, EntityTransition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from durabletask.protocol import messages
    from durabletask.sidecar.engine.commands import Command

    from .commands import Caller


class EntityTransitionBuilder:
    """What one command changes of one entity, so far."""

    def __init__(self, entity: Entity, now: datetime) -> None:
        self.entity = entity
        self.now = now
        self.holder = entity.progress.holder
        self._state = entity.progress.state
        self._modified_at = entity.progress.modified_at
        self._rows_made = entity.progress.rows_made
        self._add: dict[int, MessageRow] = {}
        self._remove: dict[int, None] = {}
        self._follow_ups: list[FollowUp] = []

    def enqueue(
        self,
        kind: MessageKind,
        request_id: str,
        event: messages.HistoryEvent,
        *,
        caller: Caller | None = None,
        visible_at: datetime | None = None,
    ) -> None:
        """Put a message into the queue; without a time it is visible at once."""
        self._rows_made += 1
        visible_at = max(visible_at or self.now, self.now)
        raw = codec.encode(event)
        row = MessageRow(self._rows_made, kind, visible_at, request_id, raw, caller)
        self._add[row.number] = row

    def change_caller(self, row: MessageRow, event: messages.HistoryEvent, caller: Caller) -> None:
        """Send the answer to another execution; the message keeps its place in the queue."""
        self._remove[row.number] = None
        self._add[row.number] = replace(row, event=codec.encode(event), caller=caller)

    def remove(self, number: int) -> None:
        if self._add.pop(number, None) is None:
            self._remove[number] = None

    def set_state(self, state: str | None) -> None:
        self._state = state
        self._modified_at = self.now

    def next_message(self) -> MessageRow | None:
        """The message that is taken next, after all that this command has changed."""
        holder_id = None if self.holder is None else self.holder.instance_id
        waiting = self.entity.queue.visible(self.now, holder_id)
        # What this command adds comes after all that was visible before.
        for row in chain(waiting, self._added(holder_id)):
            if row.number not in self._remove:
                return row
        return None

    def _added(self, holder_id: str | None) -> Iterable[MessageRow]:
        for row in self._add.values():
            is_holders = row.caller is not None and row.caller.instance_id == holder_id
            if row.visible_at <= self.now and (holder_id is None or is_holders):
                yield row

    def send(self, instance_id: str, command: Command) -> None:
        """Let an instance or entity carry out a command in the same commit."""
        self._follow_ups.append(FollowUp(instance_id, command))

    def build(self) -> EntityTransition:
        progress = replace(
            self.entity.progress,
            state=self._state,
            modified_at=self._modified_at,
            holder=self.holder,
            rows_made=self._rows_made,
        )
        return EntityTransition(
            progress=progress,
            messages_add=tuple(self._add.values()),
            messages_remove=tuple(self._remove),
            follow_ups=tuple(self._follow_ups),
        )


def open_builder(
    entity: Entity | None, entity_id: str, now: datetime, new_id: Callable[[], str]
) -> EntityTransitionBuilder:
    """A builder for the entity, which begins to exist if it does not yet."""
    return EntityTransitionBuilder(entity or Entity(entity_id, EntityProgress(new_id(), now)), now)
