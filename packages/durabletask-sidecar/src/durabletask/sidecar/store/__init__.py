"""What the sidecar stores: the contract of every store, and the values it takes and returns.

A commit is atomic, and durable before it returns. Task hubs are separate: every key begins
with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import Entity, EntityTransition
    from durabletask.sidecar.engine.state import Instance, ScheduledTask
    from durabletask.sidecar.engine.transition import Transition

    from .queries import EndedQuery, EntityQuery, EntitySummary, InstanceQuery, InstanceSummary


class StoreError(Exception):
    """The store cannot be opened, or a commit failed; the text says what to do."""


class StoreLockedError(StoreError):
    """Another sidecar has opened the file."""


class ForeignFileError(StoreError):
    """The file was not written by a sidecar, or by a newer version."""


class UnreadableError(StoreError):
    """Something that is stored cannot be read; the rest may be intact."""


class SnapshotError(StoreError):
    """`Store.begin` has no second connection for reads; `Store.commit` needs none."""


class Key(NamedTuple):
    """Identifies an instance, or an entity, among all task hubs."""

    hub: str
    instance_id: str


@dataclass(slots=True)
class Change:
    """The transitions of one instance in one commit, in order."""

    key: Key
    instance: Instance | None
    """As it is after the transitions; None when it is gone."""
    transitions: tuple[Transition, ...]
    is_new: bool = False
    """Whether the store is known to have nothing of an instance of this id."""

    @property
    def begins(self) -> bool:
        """Whether an execution ends or begins: what was handed out of the old one is void."""
        return any(each.origin is not None or each.removes for each in self.transitions)


@dataclass(slots=True)
class EntityChange:
    """The transitions of one entity in one commit, in order."""

    key: Key
    entity: Entity | None
    """As it is after the transitions; None when it is gone."""
    transitions: tuple[EntityTransition, ...]


class Due(NamedTuple):
    """An orchestration with something to do, or an entity with operations to run."""

    key: Key
    name: str | None = None
    """None for an entity, whose name is in its id."""
    version: str | None = None


class Reader(Protocol):
    """The part of the contract that reads what is committed."""

    def load(self, key: Key) -> Instance | None:
        """The instance with its rows; None when there is none. The caller owns it."""
        ...

    def load_entity(self, key: Key) -> Entity | None:
        """The entity with its messages; None when there is none. The caller owns it."""
        ...

    def history(self, key: Key) -> bytes:
        """The encoded events of the current execution, as a work item holds them."""
        ...

    def live_children(self, key: Key) -> list[str]:
        """Ids of the instances that have not ended and have this parent, whatever its execution."""
        ...

    def children(self, key: Key) -> list[str]:
        """Ids of all instances that have this parent, whatever its execution."""
        ...

    def due(self, after: datetime | None, until: datetime) -> Iterable[Due]:
        """What becomes due after `after` (None: at any time) and until `until`, in that order."""
        ...

    def next_due(self, after: datetime) -> datetime | None:
        """When the next orchestration or entity becomes due after that time."""
        ...

    def live_counts(self) -> Mapping[str, int]:
        """How many orchestrations have not ended, of each task hub that has any."""
        ...

    def outstanding_tasks(self) -> Iterable[tuple[Key, ScheduledTask]]:
        """Every activity without an outcome; those of one instance oldest first.

        Their inputs are not read: there may be more of them than fit into memory.
        """
        ...

    def hubs(self) -> Iterable[str]:
        """The task hubs that have orchestrations."""
        ...

    def instances(
        self, hub: str, query: InstanceQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterable[InstanceSummary]:
        """Orchestrations after that key, by creation time and id; read lazily."""
        ...

    def ended(
        self, hub: str, query: EndedQuery, *, after: tuple[datetime, str] | None = None
    ) -> Iterable[tuple[datetime, str]]:
        """Completion times and ids after that key, in their order; read lazily."""
        ...

    def entities(self, hub: str, query: EntityQuery, *, after: str = "") -> Iterable[EntitySummary]:
        """Entities after that id, by id; read lazily."""
        ...


class Transaction(Protocol):
    """Changes that are written but not stored: until it is closed, no read finds any of them."""

    def commit(self) -> None:
        """Make all changes durable; after StoreError none of them is stored.

        May be called on another thread, while this one reads.
        """
        ...

    def close(self) -> None:
        """Let reads find the changes; roll them back if they were not committed."""
        ...


class Store(Reader, Protocol):
    """The contract of a store; `tests/sidecar/store` tests every implementation against it."""

    @property
    def flush_seconds(self) -> float:
        """How long the last `commit` waited for the disk; 0 without a disk."""
        ...

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        """Make all changes durable in one transaction; after StoreError none of them is stored."""
        ...

    def begin(self, changes: Sequence[Change | EntityChange]) -> Transaction:
        """Do the part of `commit` that does not wait for the disk.

        Nothing else is written before the transaction is closed. After StoreError there is
        nothing to close; after SnapshotError, which is one, `commit` may still work.
        """
        ...

    def wipe(self, hub: str) -> None:
        """Delete everything in the task hub."""
        ...

    def trim(self, most_bytes: int) -> bool:
        """Return up to this much unused space to the file system; whether there is more."""
        ...

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        ...
