"""What a commit, or the passing of time, has made ready, changed or void.

`Work` names a work item that waits for a worker: a turn of an orchestration, an activity, or
a batch of an entity's operations. It holds what is needed to decide who gets it; the bytes
are made when it is handed out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durabletask.sidecar.engine import ids
from durabletask.sidecar.store import Change

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from durabletask.sidecar.engine.state import Instance, ScheduledTask
    from durabletask.sidecar.engine.transition import Transition
    from durabletask.sidecar.store import Due, EntityChange, Key


# Strings, because they are in the keys of dicts: an ordinary member is hashed by Python code.
class Kind(enum.StrEnum):
    """The kinds of work items; workers have a number of free slots for each."""

    TURN = "orchestration"
    ACTIVITY = "activity"
    ENTITY = "entity"


WorkKey = tuple[Kind, str, str, str]
LaneKey = tuple[Kind, str, str, str]


@dataclass(slots=True)
class Work:
    """One work item to hand to one worker; nobody changes it."""

    kind: Kind
    hub: str
    instance_id: str
    name: str
    version: str | None = None
    task_key: str = ""
    """Names an activity; empty for all else."""
    task_id: int | None = None
    """The orchestrator's action id of an activity."""
    key: WorkKey = field(init=False)
    """The same for the same work item, however often it is offered."""
    lane: LaneKey = field(init=False)
    """All that filters look at: the same workers accept all work items of one lane."""

    def __post_init__(self) -> None:
        self.key = (self.kind, self.hub, self.instance_id, self.task_key)
        self.lane = (self.kind, self.hub, self.name, self.version or "")


def turn(key: Key, name: str, version: str | None) -> Work:
    """A turn of an orchestration of this name and version."""
    return Work(Kind.TURN, *key, name, version)


def batch(key: Key) -> Work:
    """A batch of the operations of an entity."""
    return Work(Kind.ENTITY, *key, ids.entity_name(key.instance_id))


def activity(key: Key, task: ScheduledTask) -> Work:
    """An activity that an instance has scheduled."""
    return Work(Kind.ACTIVITY, *key, task.name, task.version, task.key, task.task_id)


@dataclass(slots=True)
class Notifications:
    """What the dispatcher and waiting clients are told."""

    turns: tuple[Work, ...] = ()
    batches: tuple[Work, ...] = ()
    tasks: tuple[Work, ...] = ()
    changed: tuple[Key, ...] = ()
    void_turns: tuple[Key, ...] = ()
    """A new execution has begun, or the instance has ended: a leased turn is void."""
    void_batches: tuple[Key, ...] = ()
    """The entity was deleted: a leased batch is void."""
    ended: tuple[Key, ...] = ()
    withdrawn: tuple[tuple[str, str, str], ...] = ()
    """Hub, instance id and task key of activities that are not outstanding any more."""
    next_due: datetime | None = None
    """When the first of the changed orchestrations and entities becomes due that is not ready."""

    @property
    def ready(self) -> tuple[Work, ...]:
        """All work items to hand out."""
        return (*self.turns, *self.batches, *self.tasks)


def of_changes(
    changes: Iterable[Change | EntityChange],
    *,
    turns: tuple[Work, ...],
    batches: tuple[Work, ...],
    withdrawn: tuple[tuple[str, str, str], ...],
    next_due: datetime | None,
) -> Notifications:
    """The notifications of a commit, given the turns and batches that are ready after it."""
    tasks: list[Work] = []
    changed: list[Key] = []
    void_turns: list[Key] = []
    void_batches: list[Key] = []
    ended: list[Key] = []
    for change in changes:
        if not isinstance(change, Change):
            if any(each.removes for each in change.transitions):
                void_batches.append(change.key)
            continue
        key, instance = change.key, change.instance
        changed.append(key)
        is_over = instance is None or instance.progress.is_terminal
        if is_over:
            ended.append(key)
        if is_over or change.begins:
            void_turns.append(key)
        if instance is not None:
            tasks += _activities(key, instance, change.transitions)
    return Notifications(
        turns,
        batches,
        tuple(tasks),
        tuple(changed),
        tuple(void_turns),
        tuple(void_batches),
        tuple(ended),
        withdrawn,
        next_due,
    )


def of_ready(due: Iterable[Due], tasks: Iterable[tuple[Key, ScheduledTask]] = ()) -> Notifications:
    """The notifications of what is due, and of outstanding activities, without a commit."""
    ready = [_due(*each) for each in due]
    return Notifications(
        turns=tuple(work for work in ready if work.kind is Kind.TURN),
        batches=tuple(work for work in ready if work.kind is Kind.ENTITY),
        tasks=tuple(activity(key, task) for key, task in tasks),
    )


def _due(key: Key, name: str | None, version: str | None) -> Work:
    """The batch of an entity, which has no name here, or the turn of an orchestration."""
    return batch(key) if name is None else turn(key, name, version)


def _activities(key: Key, instance: Instance, transitions: Iterable[Transition]) -> list[Work]:
    return [
        activity(key, row)
        for transition in transitions
        for row in transition.tasks_add
        # A later command of the same commit may have taken it back.
        if instance.tasks.get(row.number) is row
    ]
