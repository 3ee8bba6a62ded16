"""What a commit, or the passing of time, means for those who wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.sidecar.store import Change, Key, ReadyBatch, ReadyTurn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from durabletask.sidecar.engine.state import TaskRow
    from durabletask.sidecar.store import EntityChange


@dataclass(frozen=True, slots=True)
class ReadyTask:
    """An activity to hand to a worker."""

    hub: str
    instance_id: str
    task_key: str
    task_id: int
    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Notices:
    """Who has to hear of it."""

    turns: tuple[ReadyTurn, ...] = ()
    batches: tuple[ReadyBatch, ...] = ()
    tasks: tuple[ReadyTask, ...] = ()
    changed: tuple[Key, ...] = ()
    void_turns: tuple[Key, ...] = ()
    """A new execution has begun, or the instance ended: a turn that is out is void."""
    void_batches: tuple[Key, ...] = ()
    """The entity is gone: a batch that is out is void."""
    ended: tuple[Key, ...] = ()
    withdrawn: tuple[tuple[str, str, str], ...] = ()
    """Hub, instance id and task key of activities that are not outstanding any more."""


def of_changes(
    changes: Sequence[Change | EntityChange],
    ready: Iterable[ReadyTurn | ReadyBatch],
    withdrawn: Iterable[tuple[str, str, str]],
) -> Notices:
    """The notices of a commit, given what is ready after it."""
    ready = tuple(ready)
    instances = [change for change in changes if isinstance(change, Change)]
    entities = [change for change in changes if not isinstance(change, Change)]
    return Notices(
        turns=tuple(each for each in ready if isinstance(each, ReadyTurn)),
        batches=tuple(each for each in ready if isinstance(each, ReadyBatch)),
        tasks=tuple(task for change in instances for task in _ready_tasks(change)),
        changed=tuple(change.key for change in instances),
        void_turns=tuple(change.key for change in instances if _voids_turns(change)),
        void_batches=tuple(
            change.key for change in entities if any(each.removes for each in change.transitions)
        ),
        ended=tuple(change.key for change in instances if _is_over(change)),
        withdrawn=tuple(withdrawn),
    )


def of_ready(
    ready: Iterable[ReadyTurn | ReadyBatch], tasks: Iterable[tuple[Key, TaskRow]] = ()
) -> Notices:
    """What waits for a worker, without a commit."""
    ready = tuple(ready)
    return Notices(
        turns=tuple(each for each in ready if isinstance(each, ReadyTurn)),
        batches=tuple(each for each in ready if isinstance(each, ReadyBatch)),
        tasks=tuple(_ready_task(key, row) for key, row in tasks),
    )


def _is_over(change: Change) -> bool:
    return change.instance is None or not change.instance.is_live


def _voids_turns(change: Change) -> bool:
    begins = any(each.origin is not None or each.removes for each in change.transitions)
    return begins or _is_over(change)


def _ready_tasks(change: Change) -> Iterable[ReadyTask]:
    if change.instance is None:
        return
    for transition in change.transitions:
        for row in transition.tasks_add:
            # A later command of the same commit may have taken it back.
            if change.instance.tasks.get(row.number) is row:
                yield _ready_task(change.key, row)


def _ready_task(key: Key, row: TaskRow) -> ReadyTask:
    return ReadyTask(key.hub, key.instance_id, row.key, row.task_id, row.name, row.version)
