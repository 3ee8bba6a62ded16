"""Carry out commands, with all that follows from them, in one commit.

Everything is committed at once, and only then anybody is told.

Has no clock and no threads: it is told the time, and called by one caller at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.sidecar.engine import limits
from durabletask.sidecar.store import EntityChange, Key

from . import notifications
from .live_counts import LiveCounts
from .state_cache import StateCache
from .unit_of_work import Step, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.store import Change, Reader, Store

    from .notifications import Notifications, Work

__all__ = ["Commit", "Committer", "Submission"]

# Of instances, and of entities, that are kept after they were last touched.
_MOST_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Commit:
    """The replies, in the order of the submissions, and the notifications."""

    replies: tuple[Reply, ...]
    notifications: Notifications


class Committer:
    """The one who writes to the store."""

    def __init__(
        self, store: Store, limits: Limits = limits.DEFAULT, *, most_bytes: int = _MOST_BYTES
    ) -> None:
        self.limits = limits
        self._store = store
        self._live_counts = LiveCounts(store.live_counts())
        self._instances: StateCache[Instance] = StateCache(store.load, most_bytes)
        self._entities: StateCache[Entity] = StateCache(store.load_entity, most_bytes)
        self._told_until: datetime | None = None

    @property
    def reader(self) -> Reader:
        """All that is committed, for those who look for more than one instance."""
        return self._store

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        """The committed state; the caller only reads it."""
        self._trim()
        return self._instances.get(Key(hub, instance_id))

    def entity(self, hub: str, entity_id: str) -> Entity | None:
        """The committed state; the caller only reads it."""
        self._trim()
        return self._entities.get(Key(hub, entity_id))

    def live_count(self, hub: str) -> int:
        """How many orchestrations of the task hub have not ended."""
        return self._live_counts.of(hub)

    def commit(
        self, submissions: Sequence[Submission], *, now: datetime, new_id: Callable[[], str]
    ) -> Commit:
        """Carry out the submissions in order, in one transaction.

        When the store raises, nothing has happened: not in the store, and not here.
        """
        step = Step(
            self._store,
            self._instances,
            self._entities,
            self._live_counts,
            self.limits,
            now=now,
            new_id=new_id,
        )
        try:
            replies = [step.carry_out(submission) for submission in submissions]
            changes = step.changes()
            if changes:
                self._store.commit(changes)
        except BaseException:
            # They were changed in place; the store still has them as they were.
            self._forget(step.touched)
            self._live_counts.roll_back()
            raise
        self._live_counts.commit()
        self._forget(step.gone)
        self._instances.measure(change.key for change in changes)
        self._entities.measure(change.key for change in changes)
        self._instances.demote(change.key for change in changes if _has_ended(change))
        # A completion that was refused leaves somebody who may have more to do.
        asked = {Key(each.hub, each.instance_id): None for each in submissions}
        looked_at = {**asked, **dict.fromkeys(change.key for change in changes)}
        told = notifications.of_changes(changes, self._ready(looked_at, now), step.withdrawn)
        self._trim()
        return Commit(tuple(replies), told)

    def ready(self, now: datetime) -> Notifications:
        """Everything that waits for a worker; what a sidecar begins with."""
        self._told_until = now
        return notifications.of_ready(self._store.due(None, now), self._store.outstanding_tasks())

    def due(self, now: datetime) -> Notifications:
        """What has become ready by the passing of time since it was last asked."""
        found = notifications.of_ready(self._store.due(self._told_until, now))
        self._told_until = now
        return found

    def next_due(self, now: datetime) -> datetime | None:
        """When time alone makes somebody ready next; None when it never does."""
        return self._store.next_due(now)

    def trim(self, most_bytes: int) -> bool:
        """Give up to so much unused space of the store back; whether there is more."""
        return self._store.trim(most_bytes)

    def wipe(self, hub: str) -> None:
        """Forget everything in the task hub; StoreError means that nothing is forgotten."""
        self._store.wipe(hub)
        self._live_counts.forget(hub)
        self._instances.discard_hub(hub)
        self._entities.discard_hub(hub)

    def _forget(self, keys: Iterable[Key]) -> None:
        keys = tuple(keys)
        self._instances.discard(keys)
        self._entities.discard(keys)

    def _trim(self) -> None:
        # Never in the middle of a commit, whose states are nowhere else yet.
        self._instances.evict()
        self._entities.evict()

    def _ready(self, keys: Iterable[Key], now: datetime) -> Iterable[Work]:
        for key in keys:
            instance = self._instances.peek(key)
            entity = self._entities.peek(key)
            if instance is not None and _is_due(instance.due_at(), now):
                origin = instance.origin
                yield notifications.turn(key, origin.name, origin.version)
            if entity is not None and _is_due(entity.due_at(), now):
                yield notifications.batch(key)


def _has_ended(change: Change | EntityChange) -> bool:
    if isinstance(change, EntityChange):
        return False
    return change.instance is not None and not change.instance.is_live


def _is_due(due_at: datetime | None, now: datetime) -> bool:
    return due_at is not None and due_at <= now
