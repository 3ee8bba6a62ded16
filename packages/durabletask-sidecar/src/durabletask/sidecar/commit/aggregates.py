"""What a commit in progress has done to the two kinds of states that commands change.

    Aggregate --+-- Orchestrations: instances, with live counts, children and withdrawn activities
                +-- Entities

States are changed in place, in the cache. So every unit of work ends with `keep`, once its
changes are stored, or with `roll_back`, which discards the states it has changed: the store
has them as they were.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from durabletask.sidecar import engine
from durabletask.sidecar.engine import command_limits
from durabletask.sidecar.engine import state as instance_state
from durabletask.sidecar.engine.entities import rules
from durabletask.sidecar.engine.entities import state as entity_state
from durabletask.sidecar.engine.entities.state import Entity, EntityTransition
from durabletask.sidecar.engine.state import Instance
from durabletask.sidecar.engine.transition import Transition
from durabletask.sidecar.store import Change, EntityChange, Key

from . import notifications

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.transition import Refusal
    from durabletask.sidecar.store import Reader

    from .notifications import Work
    from .state_cache import StateCache


class State(Protocol):
    """What an aggregate needs to know of its states."""

    @property
    def size(self) -> int: ...

    def absorb(self, transition: Any) -> None: ...

    def due_at(self) -> datetime | None: ...


S = TypeVar("S", bound=State)
T = TypeVar("T", Transition, EntityTransition)


class Aggregate(ABC, Generic[S, T]):
    """States of one kind, as the commit in progress has changed them so far."""

    def __init__(self, cache: StateCache[S], now: datetime, new_id: Callable[[], str]) -> None:
        self._cache = cache
        self._now = now
        self._new_id = new_id
        self._asked: dict[Key, Any] = {}
        self._transitions: dict[Key, list[T]] = {}
        self._found: dict[Key, S | None] = {}
        """The states that were looked at, as they are now; None for what is not there any more."""
        self._new: set[Key] = set()
        """Those that are not stored yet."""

    def find(self, key: Key) -> S | None:
        """The state; the caller only reads it."""
        try:
            return self._found[key]
        except KeyError:
            state = self._found[key] = self._cache.get(key)
            return state

    def enforce_limits(self, key: Key, command: Command, limits: Limits) -> Command | Refusal:
        """The command from outside as it is to be carried out, or why it is not."""
        self._asked[key] = None
        target: Any = self.find(key) if command_limits.is_limited_by_queue(command) else None
        return command_limits.enforce(target, key.instance_id, command, limits)

    def apply(self, key: Key, command: Any, at: datetime | None = None) -> T:
        """Carry out one command on one state, without the commands that follow from it."""
        state = self.find(key)
        transition = self._decide(state, key, command, at or self._now)
        if transition.changes:
            # Before anything is changed, so that a failure finds what there is to discard.
            transitions = self._transitions.get(key)
            if transitions is None:
                transitions = self._transitions[key] = []
                if state is None:
                    self._new.add(key)
            transitions.append(transition)
            self._absorb(key, state, transition)
        return transition

    def changes(self) -> list[Change | EntityChange]:
        """What the commit has to store."""
        return [
            self._change(key, self._found[key], tuple(transitions))
            for key, transitions in self._transitions.items()
        ]

    def set_aside(self) -> None:
        """Take the changed states out of the cache, until `keep` puts them back.

        For commits that wait for the disk while the cache is read: it has only what is stored.
        After `roll_back` they are read from the store anew.
        """
        self._cache.discard(self._transitions.keys())

    def keep(self) -> None:
        """Take note that the changes are stored."""
        for key in self._transitions:
            state = self._found[key]
            if state is None:
                self._cache.discard((key,))
            else:
                self._cache.put(key, state)

    def roll_back(self) -> None:
        """Take note that the changes are not stored."""
        self._cache.discard(self._transitions)

    def ready(self) -> tuple[list[Work], datetime | None]:
        """The work items that wait for a worker after the commit, and when the next one will."""
        found: list[Work] = []
        later: datetime | None = None
        # After a refused completion the instance may still have something to do.
        for key in self._asked | self._transitions:
            state = self._found.get(key)
            due_at = None if state is None else state.due_at()
            if state is None or due_at is None:
                continue
            if due_at <= self._now:
                found.append(self._work(key, state))
            elif later is None or due_at < later:
                later = due_at
        return found, later

    def _absorb(self, key: Key, state: S | None, transition: T) -> S | None:
        if transition.removes:
            self._found[key] = None
            return None
        if state is None:
            state = self._found[key] = self._blank(key, transition)
        state.absorb(transition)
        return state

    @abstractmethod
    def _decide(self, state: S | None, key: Key, command: Any, now: datetime) -> T: ...

    @abstractmethod
    def _blank(self, key: Key, beginning: T) -> S: ...

    @abstractmethod
    def _change(
        self, key: Key, state: S | None, transitions: tuple[T, ...]
    ) -> Change | EntityChange: ...

    @abstractmethod
    def _work(self, key: Key, state: S) -> Work: ...


class LiveCounts:
    """How many orchestrations of each task hub have not ended.

    The counts are not stored: they begin with what the store says at the start, and follow
    each commit.
    """

    def __init__(self, committed: Mapping[str, int]) -> None:
        self._committed = Counter(committed)
        self._added: Counter[str] = Counter()
        """By the commit in progress."""

    def __len__(self) -> int:
        """How many task hubs are remembered."""
        return len(self._committed)

    def committed(self, hub: str) -> int:
        """Without what the commit in progress does."""
        return self._committed[hub]

    def of(self, hub: str) -> int:
        return self._committed.get(hub, 0) + self._added.get(hub, 0)

    def note(self, hub: str, before: Instance | None, transition: Transition) -> None:
        """Count what the commit in progress does to an instance."""
        if transition.progress is None and not transition.removes:
            return
        was_live = is_live = before is not None and before.is_live
        if transition.removes:
            is_live = False
        elif transition.progress is not None:
            is_live = not transition.progress.is_terminal
        if is_live != was_live:
            self._added[hub] += is_live - was_live

    def commit(self) -> None:
        """Keep what was counted since the last commit."""
        for hub, added in self._added.items():
            self._committed[hub] += added
            if not self._committed[hub]:
                # Clients make up names of task hubs: empty ones are not remembered.
                del self._committed[hub]
        self._added.clear()

    def roll_back(self) -> None:
        """Drop what was counted since the last commit."""
        self._added.clear()

    def forget(self, hub: str) -> None:
        del self._committed[hub]


class Orchestrations(Aggregate[Instance, Transition]):
    """The orchestration instances, as the commit in progress has changed them so far."""

    def __init__(
        self,
        cache: StateCache[Instance],
        now: datetime,
        new_id: Callable[[], str],
        *,
        live_counts: LiveCounts,
        limits: Limits,
        reader: Reader,
    ) -> None:
        super().__init__(cache, now, new_id)
        self._live_counts = live_counts
        self._limits = limits
        self._reader = reader
        # Of the instances that this commit changes; the store has the children of others.
        self._parents: dict[Key, Key] = {}
        self._children: dict[Key, dict[Key, None]] = {}
        self.withdrawn: list[tuple[str, str, str]] = []
        """Hub, instance id and task key of activities that are not outstanding any more."""

    def children(self, parent: Key, *, live_only: bool) -> list[Key]:
        """The children in the store, and as this commit has changed them."""
        find = self._reader.live_children if live_only else self._reader.children
        stored = (Key(parent.hub, child) for child in find(parent))
        found = [child for child in stored if child not in self._transitions]
        changed = self._children.get(parent, {})
        return [*found, *(key for key in changed if not live_only or self._is_live(key))]

    def keep(self) -> None:
        super().keep()
        self._cache.demote(key for key in self._transitions if self._has_ended(key))
        self._live_counts.commit()

    def roll_back(self) -> None:
        super().roll_back()
        self._live_counts.roll_back()

    def _decide(self, state: Instance | None, key: Key, command: Any, now: datetime) -> Transition:
        return engine.apply(
            state,
            key.instance_id,
            command,
            now=now,
            new_id=self._new_id,
            limits=self._limits,
            live_instances=self._live_counts.of(key.hub),
        )

    def _absorb(self, key: Key, state: Instance | None, transition: Transition) -> Instance | None:
        self._live_counts.note(key.hub, state, transition)
        if state is not None:
            for row in state.dropped_tasks(transition):
                self.withdrawn.append((*key, row.key))
        state = super()._absorb(key, state, transition)
        link = None if state is None else state.origin.parent
        if link is not None or key in self._parents:
            self._link(key, None if link is None else Key(key.hub, link.instance_id))
        return state

    def _link(self, key: Key, parent: Key | None) -> None:
        """List the instance among the children of its parent, and of nobody else."""
        old = self._parents.pop(key, None)
        if old is not None:
            self._children[old].pop(key, None)
        if parent is not None:
            self._parents[key] = parent
            self._children.setdefault(parent, {})[key] = None

    def _is_live(self, key: Key) -> bool:
        instance = self.find(key)
        return instance is not None and instance.is_live

    def _has_ended(self, key: Key) -> bool:
        instance = self._found[key]
        return instance is not None and not instance.is_live

    def _blank(self, key: Key, beginning: Transition) -> Instance:
        return instance_state.blank(key.instance_id, beginning)

    def _change(
        self, key: Key, state: Instance | None, transitions: tuple[Transition, ...]
    ) -> Change:
        return Change(key, state, transitions, key in self._new)

    def _work(self, key: Key, state: Instance) -> Work:
        return notifications.turn(key, state.origin.name, state.origin.version)


class Entities(Aggregate[Entity, EntityTransition]):
    """The entities, as the commit in progress has changed them so far."""

    def _decide(
        self, state: Entity | None, key: Key, command: Any, now: datetime
    ) -> EntityTransition:
        return rules.apply(state, key.instance_id, command, now=now, new_id=self._new_id)

    def _blank(self, key: Key, beginning: EntityTransition) -> Entity:
        return entity_state.blank(key.instance_id, beginning)

    def _change(
        self, key: Key, state: Entity | None, transitions: tuple[EntityTransition, ...]
    ) -> EntityChange:
        return EntityChange(key, state, transitions)

    def _work(self, key: Key, state: Entity) -> Work:  # noqa: ARG002 - its name is in its id
        return notifications.batch(key)
