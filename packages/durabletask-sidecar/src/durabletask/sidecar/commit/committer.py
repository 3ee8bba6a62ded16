"""Carry out commands, with all that follows from them, in one commit.

Notifications are returned only after the commit is stored. There is one caller at a time; the
time and new ids are arguments.

`commit` waits for the disk. `begin` does not: what it returns is flushed, on another thread if
need be, and then completed or rolled back. Until then all reads find what was committed before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from durabletask.sidecar.engine import limits
from durabletask.sidecar.store import Key

from . import notifications
from .aggregates import Entities, LiveCounts, Orchestrations
from .state_cache import StateCache
from .unit_of_work import Submission, UnitOfWork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.store import Change, EntityChange, Reader, Store, Transaction

    from .notifications import Notifications

__all__ = ["Commit", "CommitInProgress", "Committer", "Submission"]

# How many bytes of instances, and of entities, are kept in memory after they were last used.
_MOST_BYTES = 48 * 1024 * 1024


@dataclass(slots=True)
class Commit:
    """The replies, in the order of the submissions, and the notifications."""

    replies: tuple[Reply, ...]
    notifications: Notifications
    flush_seconds: float | None = None
    """How long it waited for the disk; None when it did not, or was not measured."""


class CommitInProgress:
    """A commit that may wait for the disk. It ends with `complete` or `roll_back`."""

    def __init__(
        self,
        unit: UnitOfWork,
        replies: tuple[Reply, ...],
        changes: list[Change | EntityChange],
        transaction: Transaction | None,
        note_stored: Callable[[Notifications], None],
    ) -> None:
        self._unit = unit
        self._replies = replies
        self._changes = changes
        self._transaction = transaction
        self._note_stored = note_stored

    @property
    def must_be_flushed(self) -> bool:
        """Whether there is anything that is not stored yet."""
        return self._transaction is not None

    @property
    def has_changes(self) -> bool:
        """Whether the submissions change anything."""
        return bool(self._changes)

    def set_aside(self) -> None:
        """Let reads find what is stored, and nothing of this, until it ends."""
        self._unit.set_aside()

    def flush(self) -> None:
        """Make the changes durable; may be called on another thread."""
        if self._transaction is not None:
            self._transaction.commit()

    def complete(self) -> Commit:
        """Take note that the changes are durable."""
        if self._transaction is not None:
            self._transaction.close()
        self._unit.keep()
        published = self._unit.notifications(self._changes)
        self._note_stored(published)
        return Commit(self._replies, published)

    def roll_back(self) -> None:
        """Take note that the changes are not durable, and drop them."""
        self._unit.roll_back()
        if self._transaction is not None:
            self._transaction.close()


class Committer:
    """Writes to the store; nothing else does."""

    def __init__(
        self, store: Store, limits: Limits = limits.DEFAULT, *, most_bytes: int = _MOST_BYTES
    ) -> None:
        self.limits = limits
        self._store = store
        self._live_counts = LiveCounts(store.live_counts())
        self._instances: StateCache[Instance] = StateCache(store.load, most_bytes)
        self._entities: StateCache[Entity] = StateCache(store.load_entity, most_bytes)
        self._published_until: datetime | None = None
        self._next_due: datetime | None = None
        self._is_next_due_known = False

    @property
    def reader(self) -> Reader:
        """All that is committed, for queries of more than one instance."""
        return self._store

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        """The committed state; the caller only reads it."""
        return self._instances.read(Key(hub, instance_id))

    def entity(self, hub: str, entity_id: str) -> Entity | None:
        """The committed state; the caller only reads it."""
        return self._entities.read(Key(hub, entity_id))

    def live_count(self, hub: str) -> int:
        """How many orchestrations of the task hub have not ended."""
        return self._live_counts.committed(hub)

    def commit(
        self, submissions: Sequence[Submission], *, now: datetime, new_id: Callable[[], str]
    ) -> Commit:
        """Carry out the submissions in order, in one transaction.

        When this raises, nothing has changed, neither in the store nor in memory.
        """
        carried_out = self._carry_out(submissions, now, new_id, self._store.commit)
        commit = carried_out.complete()
        if carried_out.has_changes:
            commit.flush_seconds = self._store.flush_seconds
        return commit

    def begin(
        self, submissions: Sequence[Submission], *, now: datetime, new_id: Callable[[], str]
    ) -> CommitInProgress:
        """Do the part of `commit` that does not wait for the disk.

        Nothing may be committed, wiped or trimmed before it has ended.
        """
        begun = self._carry_out(submissions, now, new_id, self._store.begin)
        begun.set_aside()
        return begun

    def _carry_out(
        self,
        submissions: Sequence[Submission],
        now: datetime,
        new_id: Callable[[], str],
        write: Callable[[list[Change | EntityChange]], Transaction | None],
    ) -> CommitInProgress:
        """Carry out the submissions in order, and have what they change written, if anything.

        `write` returns the transaction that is still to be flushed, or None. When it or a
        submission raises, nothing has changed.
        """
        unit = self._unit(now, new_id)
        try:
            replies = tuple([unit.carry_out(submission) for submission in submissions])
            changes = unit.changes()
            transaction = write(changes) if changes else None
        except BaseException:
            unit.roll_back()
            raise
        return CommitInProgress(unit, replies, changes, transaction, self._note_stored)

    def _note_stored(self, published: Notifications) -> None:
        self._note_due(published.next_due)
        self._instances.evict()
        self._entities.evict()

    def _unit(self, now: datetime, new_id: Callable[[], str]) -> UnitOfWork:
        orchestrations = Orchestrations(
            self._instances,
            now,
            new_id,
            live_counts=self._live_counts,
            limits=self.limits,
            reader=self._store,
        )
        entities = partial(Entities, self._entities, now, new_id)
        return UnitOfWork(orchestrations, entities, self.limits)

    def ready(self, now: datetime) -> Notifications:
        """Everything that waits for a worker when the sidecar starts."""
        self._published_until = now
        return notifications.of_ready(self._store.due(None, now), self._store.outstanding_tasks())

    def due(self, now: datetime) -> Notifications:
        """What has become due since the last call of `ready` or `due`."""
        found = notifications.of_ready(self._store.due(self._published_until, now))
        self._published_until = now
        return found

    def next_due(self, now: datetime) -> datetime | None:
        """When an instance or entity becomes due next, or an earlier time; None when none will.

        The store is asked only when that time has come: commits keep it up to date.
        """
        known = self._next_due
        if not self._is_next_due_known or (known is not None and known <= now):
            self._next_due = self._store.next_due(now)
            self._is_next_due_known = True
        return self._next_due

    def _note_due(self, due_at: datetime | None) -> None:
        if due_at is not None and (self._next_due is None or due_at < self._next_due):
            self._next_due = due_at

    def trim(self, most_bytes: int) -> bool:
        """Return up to this much unused space of the store; whether there is more."""
        return self._store.trim(most_bytes)

    def wipe(self, hub: str) -> None:
        """Delete everything in the task hub; after StoreError nothing is deleted."""
        self._store.wipe(hub)
        self._live_counts.forget(hub)
        self._instances.discard_hub(hub)
        self._entities.discard_hub(hub)
