"""One commit in the making: commands carried out, with all that follows from them.

The engine sees one instance, or one entity, at a time. What it wants of others are
commands too; they are carried out breadth first, over states that are not committed yet,
until none is left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.sidecar.engine import apply, command_limits
from durabletask.sidecar.engine.entities import rules
from durabletask.sidecar.engine.entities import state as entity_state
from durabletask.sidecar.engine.entities.commands import EntityCommand
from durabletask.sidecar.engine.state import blank
from durabletask.sidecar.engine.transition import Purged, Refusal
from durabletask.sidecar.store import Change, EntityChange, Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.engine.entities.state import Entity, EntityTransition
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import ForChildren, Reply, Transition
    from durabletask.sidecar.store import Store

    from .live_counts import LiveCounts
    from .state_cache import StateCache


@dataclass(frozen=True, slots=True)
class Submission:
    """A command, and the instance or entity it is for."""

    hub: str
    instance_id: str
    command: Command


class Step:
    """What a commit will hold, so far.

    States are changed in place. When the commit fails, they must be forgotten: `touched`
    names them.
    """

    def __init__(
        self,
        store: Store,
        instances: StateCache[Instance],
        entities: StateCache[Entity],
        live_counts: LiveCounts,
        limits: Limits,
        *,
        now: datetime,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._instances = instances
        self._entities = entities
        self._live_counts = live_counts
        self._limits = limits
        self._now = now
        self._new_id = new_id
        self._transitions: dict[Key, list[Transition]] = {}
        self._entity_transitions: dict[Key, list[EntityTransition]] = {}
        # Of the instances that this commit touches; the store knows the children of others.
        self._parents: dict[Key, Key | None] = {}
        self._children: dict[Key, dict[Key, None]] = {}
        self.gone: set[Key] = set()
        self.withdrawn: list[tuple[str, str, str]] = []

    @property
    def touched(self) -> Iterable[Key]:
        return (*self._transitions, *self._entity_transitions)

    def changes(self) -> list[Change | EntityChange]:
        return [
            *(
                Change(key, self._instance(key), tuple(transitions))
                for key, transitions in self._transitions.items()
            ),
            *(
                EntityChange(key, self._entity(key), tuple(transitions))
                for key, transitions in self._entity_transitions.items()
            ),
        ]

    def carry_out(self, submission: Submission) -> Reply:
        """Apply one command and all that follow from it; the reply is the first one's."""
        key = Key(submission.hub, submission.instance_id)
        command = self._admitted(key, submission.command)
        if isinstance(command, Refusal):
            return command
        first = self._apply(key, command)
        if not first.follow_ups and first.for_children is None:
            return first.reply
        removed = int(first.removes)
        waiting = deque([(key, first)])
        # Links from child to parent can form a circle, and each is told once.
        asked_for_children: set[Key] = set()
        while waiting:
            key, transition = waiting.popleft()
            follow_ups = [
                (Key(key.hub, each.instance_id), each.command) for each in transition.follow_ups
            ]
            for_children = transition.for_children
            if for_children is not None and key not in asked_for_children:
                asked_for_children.add(key)
                follow_ups += self._for_children(key, for_children)
            for target, command in follow_ups:
                following = self._apply(target, command)
                removed += following.removes
                waiting.append((target, following))
        return Purged(removed) if isinstance(first.reply, Purged) else first.reply

    def _admitted(self, key: Key, command: Command) -> Command | Refusal:
        is_entitys = isinstance(command, EntityCommand)
        target = self._entity(key) if is_entitys else self._instance(key)
        return command_limits.enforce(target, key.instance_id, command, self._limits)

    def _apply(self, key: Key, command: Command) -> Transition | EntityTransition:
        if isinstance(command, EntityCommand):
            return self._apply_to_entity(key, command)
        instance = self._instance(key)
        transition = apply(
            instance,
            key.instance_id,
            command,
            now=self._now,
            new_id=self._new_id,
            limits=self._limits,
            live_instances=self._live_counts.of(key.hub),
        )
        if transition.changes:
            # Before anything is changed, so that a failure finds what there is to forget.
            self._transitions.setdefault(key, []).append(transition)
            self._absorb(key, instance, transition)
        return transition

    def _apply_to_entity(self, key: Key, command: EntityCommand) -> EntityTransition:
        entity = self._entity(key)
        transition = rules.apply(
            entity, key.instance_id, command, now=self._now, new_id=self._new_id
        )
        if not transition.changes:
            return transition
        self._entity_transitions.setdefault(key, []).append(transition)
        if transition.removes:
            self.gone.add(key)
            return transition
        if entity is None:
            entity = entity_state.blank(key.instance_id, transition)
            self._entities.put(key, entity)
            self.gone.discard(key)
        entity.absorb(transition)
        return transition

    def _absorb(self, key: Key, instance: Instance | None, transition: Transition) -> None:
        self._live_counts.note(key.hub, instance, transition)
        if instance is None:
            instance = blank(key.instance_id, transition)
            self._instances.put(key, instance)
            self.gone.discard(key)
        for row in instance.dropped_tasks(transition):
            self.withdrawn.append((*key, row.key))
        if transition.removes:
            self.gone.add(key)
            self._file(key, None)
            return
        instance.absorb(transition)
        link = instance.origin.parent
        self._file(key, None if link is None else Key(key.hub, link.instance_id))

    def _file(self, key: Key, parent: Key | None) -> None:
        """List the instance among the children of its parent, and of nobody else."""
        old = self._parents.get(key)
        if old is not None:
            self._children[old].pop(key, None)
        self._parents[key] = parent
        if parent is not None:
            self._children.setdefault(parent, {})[key] = None

    def _instance(self, key: Key) -> Instance | None:
        return None if key in self.gone else self._instances.get(key)

    def _entity(self, key: Key) -> Entity | None:
        return None if key in self.gone else self._entities.get(key)

    def _for_children(
        self, parent: Key, for_children: ForChildren
    ) -> Iterable[tuple[Key, Command]]:
        """The children in the store, and as this commit has changed them."""
        find = self._store.live_children if for_children.live_only else self._store.children
        stored = (Key(parent.hub, child) for child in find(parent))
        found = [child for child in stored if child not in self._parents]
        touched = self._children.get(parent, {})
        found += [key for key in touched if self._is_live(key) or not for_children.live_only]
        return [(child, for_children.command) for child in found]

    def _is_live(self, key: Key) -> bool:
        instance = self._instance(key)
        return instance is not None and instance.is_live
