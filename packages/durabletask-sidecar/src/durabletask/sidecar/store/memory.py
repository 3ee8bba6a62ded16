"""The store that forgets: the same contract in dicts, for tests and for trying things out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.entities import state as entities
from durabletask.sidecar.engine.entities.queue import MessageQueue
from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import Instance, blank

from . import Change, Due, EntityChange, Key
from .encoded_events import repeated_field
from .queries import EntitySummary, InstanceSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.state import ParentLink, ScheduledTask
    from durabletask.sidecar.engine.transition import Transition

    from .queries import EndedQuery, EntityQuery, InstanceQuery


class MemoryStore:
    """Holds copies, as a file would: nobody can change what is stored but by a commit."""

    def __init__(self) -> None:
        self._instances: dict[Key, Instance] = {}
        self._entities: dict[Key, entities.Entity] = {}
        self._histories: dict[Key, bytearray] = {}
        self._due: dict[Key, datetime] = {}
        self._by_time: list[tuple[datetime, Key]] = []
        self._children: dict[Key, dict[Key, None]] = {}
        self._by_creation: dict[str, list[tuple[datetime, str]]] = {}

    def load(self, key: Key) -> Instance | None:
        stored = self._instances.get(key)
        return None if stored is None else _copy(stored)

    def load_entity(self, key: Key) -> entities.Entity | None:
        stored = self._entities.get(key)
        if stored is None:
            return None
        return entities.Entity(stored.entity_id, stored.progress, MessageQueue(stored.queue))

    def history(self, key: Key) -> bytes:
        return bytes(self._histories.get(key, b""))

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        for change in changes:
            if isinstance(change, Change):
                self._change_instance(change)
            else:
                self._change_entity(change)

    def live_children(self, key: Key) -> list[str]:
        return [child for child in self.children(key) if self._is_live(Key(key.hub, child))]

    def children(self, key: Key) -> list[str]:
        return [child.instance_id for child in self._children.get(key, {})]

    def due(self, after: datetime | None, until: datetime) -> Iterable[Due]:
        first = 0 if after is None else self._behind(after)
        for _, key in self._by_time[first : self._behind(until)]:
            if key in self._entities:
                yield Due(key)
            else:
                origin = self._instances[key].origin
                yield Due(key, origin.name, origin.version)

    def next_due(self, after: datetime) -> datetime | None:
        first = self._behind(after)
        return self._by_time[first][0] if first < len(self._by_time) else None

    def live_counts(self) -> Mapping[str, int]:
        return Counter(key.hub for key, instance in self._instances.items() if instance.is_live)

    def outstanding_tasks(self) -> Iterator[tuple[Key, ScheduledTask]]:
        for key, instance in self._instances.items():
            for row in instance.tasks.values():
                yield key, row

    def hubs(self) -> Iterable[str]:
        return sorted({key.hub for key in self._instances})

    def instances(
        self, hub: str, query: InstanceQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[InstanceSummary]:
        order = self._by_creation.get(hub, [])
        first = 0 if after is None else bisect_right(order, after)
        for _, instance_id in order[first:]:
            instance = self._instances[Key(hub, instance_id)]
            found = InstanceSummary(instance_id, instance.origin, instance.progress)
            if query.accepts(found):
                yield found

    def ended(
        self, hub: str, query: EndedQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterable[tuple[datetime, str]]:
        found = (
            (instance.progress.completed_at, key.instance_id)
            for key, instance in self._instances.items()
            if key.hub == hub and query.accepts(instance.progress)
        )
        dated = ((at, instance_id) for at, instance_id in found if at is not None)
        return sorted(each for each in dated if after is None or each > after)

    def entities(self, hub: str, query: EntityQuery, *, after: str = "") -> Iterable[EntitySummary]:
        found = (
            EntitySummary(key.instance_id, entity.progress, len(entity.queue))
            for key, entity in self._entities.items()
            if key.hub == hub and key.instance_id > after
        )
        accepted = (each for each in found if query.accepts(each))
        return sorted(accepted, key=lambda each: each.entity_id)

    def wipe(self, hub: str) -> None:
        for key in [key for key in self._instances if key.hub == hub]:
            self._remove_instance(key)
        for key in [key for key in self._entities if key.hub == hub]:
            del self._entities[key]
            self._schedule(key, None)

    def trim(self, most_bytes: int) -> bool:  # noqa: ARG002 - there is none to give back
        return False

    def close(self) -> None:
        """Nothing is held."""

    def _is_live(self, key: Key) -> bool:
        return self._instances[key].is_live

    def _change_instance(self, change: Change) -> None:
        for transition in change.transitions:
            if transition.removes:
                self._remove_instance(change.key)
            else:
                self._write_history(change.key, transition)
                self._take_over(change.key, transition)
        if change.instance is not None:
            self._schedule(change.key, change.instance.due_at())

    def _change_entity(self, change: EntityChange) -> None:
        for transition in change.transitions:
            if transition.removes:
                self._entities.pop(change.key, None)
                continue
            stored = self._entities.get(change.key)
            if stored is None:
                stored = entities.blank(change.key.instance_id, transition)
                self._entities[change.key] = stored
            stored.absorb(transition)
        self._schedule(change.key, None if change.entity is None else change.entity.due_at())

    def _write_history(self, key: Key, transition: Transition) -> None:
        if transition.origin is not None:
            self._histories[key] = bytearray()
        self._histories[key] += repeated_field(transition.events)

    def _take_over(self, key: Key, transition: Transition) -> None:
        stored = self._instances.get(key)
        if transition.origin is not None:
            self._file_by_creation(key, stored, transition.origin.created_at)
        if stored is None:
            stored = self._instances[key] = blank(key.instance_id, transition)
        if transition.origin is not None:
            self._file(key, stored.origin.parent, transition.origin.parent)
        stored.absorb(transition)

    def _remove_instance(self, key: Key) -> None:
        stored = self._instances.pop(key, None)
        if stored is not None:
            self._file(key, stored.origin.parent, None)
            self._file_by_creation(key, stored, None)
        self._histories.pop(key, None)
        self._schedule(key, None)

    def _file(self, key: Key, old: ParentLink | None, new: ParentLink | None) -> None:
        """List the instance among the children of its parent, and of nobody else."""
        if old is not None:
            siblings = self._children.get(Key(key.hub, old.instance_id), {})
            siblings.pop(key, None)
            if not siblings:
                self._children.pop(Key(key.hub, old.instance_id), None)
        if new is not None:
            self._children.setdefault(Key(key.hub, new.instance_id), {})[key] = None

    def _file_by_creation(self, key: Key, old: Instance | None, new: datetime | None) -> None:
        """List the instance once, by when it was created."""
        order = self._by_creation.setdefault(key.hub, [])
        if old is not None:
            del order[bisect_left(order, (old.origin.created_at, key.instance_id))]
        if new is not None:
            insort(order, (new, key.instance_id))

    def _schedule(self, key: Key, due_at: datetime | None) -> None:
        old = self._due.pop(key, None)
        if old is not None:
            del self._by_time[bisect_left(self._by_time, (old, key))]
        if due_at is not None:
            self._due[key] = due_at
            insort(self._by_time, (due_at, key))

    def _behind(self, at: datetime) -> int:
        """Where in the list the times begin that are later."""
        return bisect_right(self._by_time, at, key=itemgetter(0))


def _copy(instance: Instance) -> Instance:
    return Instance(
        instance.instance_id,
        instance.origin,
        instance.progress,
        Inbox(instance.inbox),
        dict(instance.tasks),
        dict(instance.children),
        dict(instance.calls),
        dict(instance.locks),
    )
