"""Carry out commands, with all that follows from them, in one commit.

Everything is committed at once, and only then anybody is told.

Has no clock and no threads: it is told the time, and called by one caller at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import dialects
from durabletask.sidecar.engine import limits, turns
from durabletask.sidecar.engine.entities import batches
from durabletask.sidecar.store import EntityChange, Key, ReadyBatch, ReadyTurn
from durabletask.sidecar.work import dapr_histories, items
from durabletask.sidecar.work.dapr_histories import Transcripts
from durabletask.sidecar.work.sessions import Known

from . import notifications
from .live_counts import Headcount
from .state_cache import Hot
from .unit_of_work import Step, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.engine.commands import TurnTaken
    from durabletask.sidecar.engine.entities.commands import BatchTaken
    from durabletask.sidecar.engine.entities.state import Entity
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.store import Change, Reader, Store
    from durabletask.sidecar.work.items import TurnForm

    from .notifications import Notices

__all__ = ["Commit", "Committer", "PreparedBatch", "PreparedTurn", "Submission"]

# Of instances, and of entities, that are kept after they were last touched.
_MOST_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Commit:
    """The replies, in the order of the submissions, and the notices."""

    replies: tuple[Reply, ...]
    notices: Notices


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A work item, and what committing the answer to it will need."""

    turn: TurnTaken
    work_item: bytes
    committed: Known
    """The history before the turn; the worker has all of it now."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """The same for the operations of an entity."""

    batch: BatchTaken
    work_item: bytes


class Committer:
    """The one who writes to the store."""

    def __init__(
        self, store: Store, limits: Limits = limits.DEFAULT, *, most_bytes: int = _MOST_BYTES
    ) -> None:
        self.limits = limits
        self._store = store
        self._headcount = Headcount(store.alive())
        self._instances: Hot[Instance] = Hot(store.load, most_bytes)
        self._entities: Hot[Entity] = Hot(store.load_entity, most_bytes)
        self._transcripts = Transcripts()
        self._told_until: datetime | None = None

    @property
    def reader(self) -> Reader:
        """All that is committed, for those who look for more than one instance."""
        return self._store

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        """The committed state; the caller only reads it."""
        self._trim()
        return self._instances.find(Key(hub, instance_id))

    def entity(self, hub: str, entity_id: str) -> Entity | None:
        """The committed state; the caller only reads it."""
        self._trim()
        return self._entities.find(Key(hub, entity_id))

    def alive(self, hub: str) -> int:
        """How many orchestrations of the task hub have not ended."""
        return self._headcount.of(hub)

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
            self._headcount,
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
            self._headcount.take_back()
            raise
        self._headcount.keep()
        self._forget(step.gone)
        self._instances.weigh(change.key for change in changes)
        self._entities.weigh(change.key for change in changes)
        self._instances.cool(change.key for change in changes if _has_ended(change))
        # A completion that was refused leaves somebody who may have more to do.
        asked = {Key(each.hub, each.instance_id): None for each in submissions}
        looked_at = {**asked, **dict.fromkeys(change.key for change in changes)}
        told = notifications.of_changes(changes, self._ready(looked_at, now), step.withdrawn)
        self._trim()
        return Commit(tuple(replies), told)

    def prepare_turn(
        self,
        hub: str,
        instance_id: str,
        *,
        token: str,
        now: datetime,
        room: int,
        form: TurnForm = items.WHOLE,
    ) -> PreparedTurn | None:
        """The next turn of an orchestration; None when it has nothing to do.

        `room` is how many bytes the work item may have. Events wait for the turn after when
        they do not fit beside the history; the first is sent whatever its size.
        """
        instance = self.instance(hub, instance_id)
        if instance is None or instance.due_at() is None:
            return None
        key = Key(hub, instance_id)
        history = self._store.history(key)
        past = form.past(history)
        turn = turns.prepare(instance, now, room - len(past), len(history))
        if turn is None:
            return None
        if form.dialect is dialects.DAPR:
            is_whole = len(past) == len(history)
            past = self._transcripts.of(key, past) if is_whole else dapr_histories.events(past)
            item = items.dapr_turn_item(instance, turn, past, token, form)
        else:
            item = items.turn_item(instance, turn, past, token, form)
        return PreparedTurn(turn, item, Known(turn.history_length, len(history)))

    def prepare_batch(
        self,
        hub: str,
        entity_id: str,
        *,
        token: str,
        now: datetime,
        room: int,
        in_older_form: bool = False,
    ) -> PreparedBatch | None:
        """The next operations of an entity; None when there is none to run."""
        entity = self.entity(hub, entity_id)
        if entity is None:
            return None
        rows = batches.prepare(entity, now, room)
        if not rows:
            return None
        make = items.old_batch_item if in_older_form else items.batch_item
        return PreparedBatch(batches.taken(entity, rows), make(entity, rows, token))

    def activity_work_item(
        self,
        hub: str,
        instance_id: str,
        task_key: str,
        *,
        token: str,
        dialect: Dialect = dialects.TASKHUB,
    ) -> bytes | None:
        """The work item of an activity; None when it has an outcome already."""
        instance = self.instance(hub, instance_id)
        row = None if instance is None else instance.task_with_key(task_key)
        if row is None:
            return None
        make = items.dapr_activity_item if dialect is dialects.DAPR else items.activity_item
        return make(row, token)

    def ready(self, now: datetime) -> Notices:
        """Everything that waits for a worker; what a sidecar begins with."""
        self._told_until = now
        return notifications.of_ready(self._store.due(None, now), self._store.outstanding_tasks())

    def due(self, now: datetime) -> Notices:
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
        self._headcount.forget(hub)
        self._instances.forget_hub(hub)
        self._entities.forget_hub(hub)

    def _forget(self, keys: Iterable[Key]) -> None:
        keys = tuple(keys)
        self._instances.forget(keys)
        self._entities.forget(keys)

    def _trim(self) -> None:
        # Never in the middle of a commit, whose states are nowhere else yet.
        self._instances.trim()
        self._entities.trim()

    def _ready(self, keys: Iterable[Key], now: datetime) -> Iterable[ReadyTurn | ReadyBatch]:
        for key in keys:
            instance = self._instances.peek(key)
            entity = self._entities.peek(key)
            if instance is not None and _is_due(instance.due_at(), now):
                origin = instance.origin
                yield ReadyTurn(key.hub, key.instance_id, origin.name, origin.version)
            if entity is not None and _is_due(entity.due_at(), now):
                yield ReadyBatch(*key)


def _has_ended(change: Change | EntityChange) -> bool:
    if isinstance(change, EntityChange):
        return False
    return change.instance is not None and not change.instance.is_live


def _is_due(due_at: datetime | None, now: datetime) -> bool:
    return due_at is not None and due_at <= now
