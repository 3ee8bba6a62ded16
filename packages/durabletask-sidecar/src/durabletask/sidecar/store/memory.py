"""The store in memory: the same contract in dicts, for tests and for trying things out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

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

    from durabletask.sidecar.engine.state import ScheduledTask
    from durabletask.sidecar.engine.transition import Transition

    from . import Transaction
    from .queries import EndedQuery, EntityQuery, InstanceQuery


K = TypeVar("K", str, "tuple[datetime, str]")


class _Order(Generic[K]):
    """Keys in order, which may be added and removed while they are read."""

    def __init__(self) -> None:
        self._keys: list[K] = []

    def add(self, key: K) -> None:
        insort(self._keys, key)

    def remove(self, key: K) -> None:
        del self._keys[bisect_left(self._keys, key)]

    def after(self, key: K | None) -> Iterator[K]:
        """The keys that come after this one; all of them when it is None."""
        place = 0 if key is None else bisect_right(self._keys, key)
        while place < len(self._keys):
            key = self._keys[place]
            yield key
            # What was added or removed meanwhile may have moved it.
            place = bisect_right(self._keys, key)


class MemoryStore:
    """Holds copies, as a file would: only commits change what is stored."""

    flush_seconds = 0.0

    def __init__(self) -> None:
        self._instances: dict[Key, Instance] = {}
        self._entities: dict[Key, entities.Entity] = {}
        self._histories: dict[Key, bytearray] = {}
        self._due: dict[Key, datetime] = {}
        self._by_time: list[tuple[datetime, Key]] = []
        self._children: dict[Key, dict[Key, None]] = {}
        # By task hub.
        self._by_creation: defaultdict[str, _Order[tuple[datetime, str]]] = defaultdict(_Order)
        self._by_completion: defaultdict[str, _Order[tuple[datetime, str]]] = defaultdict(_Order)
        self._by_entity_id: defaultdict[str, _Order[str]] = defaultdict(_Order)

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

    def begin(self, changes: Sequence[Change | EntityChange]) -> Transaction:
        return _Transaction(self, changes)

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
        for _, instance_id in self._by_creation.get(hub, _Order()).after(after):
            instance = self._instances[Key(hub, instance_id)]
            found = InstanceSummary(instance_id, instance.origin, instance.progress)
            if query.accepts(found):
                yield found

    def ended(
        self, hub: str, query: EndedQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterator[tuple[datetime, str]]:
        if query.completed_from is not None:
            # No id is empty, so this stands before all that ended at that time.
            first = (query.completed_from, "")
            after = first if after is None else max(after, first)
        for completed_at, instance_id in self._by_completion.get(hub, _Order()).after(after):
            if query.completed_to is not None and completed_at >= query.completed_to:
                return
            if query.accepts(self._instances[Key(hub, instance_id)].progress):
                yield completed_at, instance_id

    def entities(self, hub: str, query: EntityQuery, *, after: str = "") -> Iterator[EntitySummary]:
        for entity_id in self._by_entity_id.get(hub, _Order()).after(after):
            entity = self._entities[Key(hub, entity_id)]
            found = EntitySummary(entity_id, entity.progress, len(entity.queue))
            if query.accepts(found):
                yield found

    def wipe(self, hub: str) -> None:
        for key in [key for key in self._instances if key.hub == hub]:
            self._remove_instance(key)
        for key in [key for key in self._entities if key.hub == hub]:
            self._remove_entity(key)
            self._schedule(key, None)

    def trim(self, most_bytes: int) -> bool:  # noqa: ARG002 - there is no file
        return False

    def close(self) -> None:
        """There is nothing to release."""

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
                self._remove_entity(change.key)
                continue
            stored = self._entities.get(change.key)
            if stored is None:
                stored = entities.blank(change.key.instance_id, transition)
                self._entities[change.key] = stored
                self._by_entity_id[change.key.hub].add(change.key.instance_id)
            stored.absorb(transition)
        self._schedule(change.key, None if change.entity is None else change.entity.due_at())

    def _write_history(self, key: Key, transition: Transition) -> None:
        if transition.origin is not None:
            self._histories[key] = bytearray()
        self._histories[key] += repeated_field(transition.events)

    def _take_over(self, key: Key, transition: Transition) -> None:
        stored = self._instances.get(key)
        old = _NOWHERE if stored is None else _places(stored)
        if stored is None:
            stored = self._instances[key] = blank(key.instance_id, transition)
        stored.absorb(transition)
        self._move(key, old, _places(stored))

    def _remove_instance(self, key: Key) -> None:
        stored = self._instances.pop(key, None)
        if stored is not None:
            self._move(key, _places(stored), _NOWHERE)
        self._histories.pop(key, None)
        self._schedule(key, None)

    def _remove_entity(self, key: Key) -> None:
        if self._entities.pop(key, None) is not None:
            self._by_entity_id[key.hub].remove(key.instance_id)

    def _move(self, key: Key, old: _Places, new: _Places) -> None:
        """List the instance where it is found now, and nowhere else."""
        _reorder(self._by_creation[key.hub], key.instance_id, old.created_at, new.created_at)
        _reorder(self._by_completion[key.hub], key.instance_id, old.completed_at, new.completed_at)
        if old.parent_id == new.parent_id:
            return
        if old.parent_id is not None:
            parent = Key(key.hub, old.parent_id)
            del self._children[parent][key]
            if not self._children[parent]:
                del self._children[parent]
        if new.parent_id is not None:
            self._children.setdefault(Key(key.hub, new.parent_id), {})[key] = None

    def _schedule(self, key: Key, due_at: datetime | None) -> None:
        old = self._due.pop(key, None)
        if old is not None:
            del self._by_time[bisect_left(self._by_time, (old, key))]
        if due_at is not None:
            self._due[key] = due_at
            insort(self._by_time, (due_at, key))

    def _behind(self, at: datetime) -> int:
        """The index of the first time in the list that is later."""
        return bisect_right(self._by_time, at, key=itemgetter(0))


class _Places(NamedTuple):
    """By what an instance is found, besides its id."""

    created_at: datetime | None
    completed_at: datetime | None
    parent_id: str | None


_NOWHERE = _Places(None, None, None)


def _places(instance: Instance) -> _Places:
    origin = instance.origin
    parent_id = None if origin.parent is None else origin.parent.instance_id
    return _Places(origin.created_at, instance.progress.completed_at, parent_id)


def _reorder(
    order: _Order[tuple[datetime, str]],
    instance_id: str,
    old: datetime | None,
    new: datetime | None,
) -> None:
    if old == new:
        return
    if old is not None:
        order.remove((old, instance_id))
    if new is not None:
        order.add((new, instance_id))


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


class _Transaction:
    """Changes that are made when it is closed: there is no disk to wait for."""

    def __init__(self, store: MemoryStore, changes: Sequence[Change | EntityChange]) -> None:
        self._store = store
        self._changes = changes
        self._is_committed = False

    def commit(self) -> None:
        self._is_committed = True

    def close(self) -> None:
        if self._is_committed:
            self._is_committed = False
            self._store.commit(self._changes)
