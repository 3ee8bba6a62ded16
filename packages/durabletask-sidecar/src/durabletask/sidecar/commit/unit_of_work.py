"""Carry out commands, with all that follows from them, and collect what one commit stores.

The engine reads one instance, or one entity, at a time. What has to happen to others are
commands, too: they are carried out breadth first, on states that are not committed yet, until
none is left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from durabletask.sidecar.engine.entities.commands import EntityCommand
from durabletask.sidecar.engine.transition import Purged, Refusal
from durabletask.sidecar.store import Key

from . import notifications

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.engine.entities.state import EntityTransition
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.transition import Reply, Transition
    from durabletask.sidecar.store import Change, EntityChange

    from .aggregates import Aggregate, Entities, Orchestrations
    from .notifications import Notifications, Work

_ENTITY_COMMANDS = frozenset(get_args(EntityCommand))


@dataclass(slots=True)
class Submission:
    """A command, and the instance or entity it is for."""

    hub: str
    instance_id: str
    command: Command
    at: datetime | None = None
    """When it is carried out; None for the time of the commit."""


class UnitOfWork:
    """What one commit will store, so far. It ends with `keep` or `roll_back`."""

    def __init__(
        self,
        orchestrations: Orchestrations,
        make_entities: Callable[[], Entities],
        limits: Limits,
    ) -> None:
        self._orchestrations = orchestrations
        self._make_entities = make_entities
        self._entities: Entities | None = None
        """Most commits change none."""
        self._used: list[Aggregate[Any, Any]] = [orchestrations]
        self._limits = limits

    def carry_out(self, submission: Submission) -> Reply:
        """Apply one command and all that follow from it; the reply is the first one's."""
        key = Key(submission.hub, submission.instance_id)
        aggregate = self._of(submission.command)
        command = aggregate.enforce_limits(key, submission.command, self._limits)
        if isinstance(command, Refusal):
            return command
        first: Transition | EntityTransition = aggregate.apply(key, command, submission.at)
        if not first.follow_ups and first.for_children is None:
            return first.reply
        removed = int(first.removes)
        waiting = deque([(key, first)])
        # Links from child to parent can form a cycle; the children of each are told once.
        asked_for_children: set[Key] = set()
        while waiting:
            key, transition = waiting.popleft()
            follow_ups = [
                (Key(key.hub, each.instance_id), each.command) for each in transition.follow_ups
            ]
            for_children = transition.for_children
            if for_children is not None and key not in asked_for_children:
                asked_for_children.add(key)
                children = self._orchestrations.children(key, live_only=for_children.live_only)
                follow_ups += [(child, for_children.command) for child in children]
            for target, command in follow_ups:
                following = self._of(command).apply(target, command)
                removed += following.removes
                waiting.append((target, following))
        return Purged(removed) if isinstance(first.reply, Purged) else first.reply

    def changes(self) -> list[Change | EntityChange]:
        """What the commit has to store."""
        return [change for each in self._used for change in each.changes()]

    def set_aside(self) -> None:
        """Take what this changes out of the caches, until `keep` or `roll_back`.

        Reads then find what is stored; what this changes is kept here only.
        """
        for each in self._used:
            each.set_aside()

    def keep(self) -> None:
        """Take note that the changes are stored."""
        for each in self._used:
            each.keep()

    def roll_back(self) -> None:
        """Take note that the changes are not stored."""
        for each in self._used:
            each.roll_back()

    def notifications(self, changes: list[Change | EntityChange]) -> Notifications:
        """What to publish once these changes are stored."""
        turns, next_due = self._orchestrations.ready()
        batches: list[Work] = []
        if self._entities is not None:
            batches, next_batch = self._entities.ready()
            if next_due is None or (next_batch is not None and next_batch < next_due):
                next_due = next_batch
        return notifications.of_changes(
            changes,
            turns=tuple(turns),
            batches=tuple(batches),
            withdrawn=tuple(self._orchestrations.withdrawn),
            next_due=next_due,
        )

    def _of(self, command: Command) -> Aggregate[Any, Any]:
        if type(command) not in _ENTITY_COMMANDS:
            return self._orchestrations
        if self._entities is None:
            self._entities = self._make_entities()
            self._used.append(self._entities)
        return self._entities
