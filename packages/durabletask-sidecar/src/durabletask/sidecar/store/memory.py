"""The store that forgets: the same contract in dicts, for tests and for trying things out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import itemgetter
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.inbox import Inbox
from durabletask.sidecar.engine.state import Instance, blank

from . import Change, Key, ReadyTurn
from .splicing import spliced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from durabletask.sidecar.engine.state import ParentLink, TaskRow


class MemoryStore:
    """Holds copies, as a file would: nobody can change what is stored but by a commit."""

    def __init__(self) -> None:
        self._instances: dict[Key, Instance] = {}
        self._histories: dict[Key, bytearray] = {}
        self._due: dict[Key, datetime] = {}
        self._by_time: list[tuple[datetime, Key]] = []
        self._children: dict[Key, dict[Key, None]] = {}

    def load(self, key: Key) -> Instance | None:
        stored = self._instances.get(key)
        return None if stored is None else _copy(stored)

    def history(self, key: Key) -> bytes:
        return bytes(self._histories.get(key, b""))

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._write_history(change)
            self._take_over(change)
            self._schedule(change.key, change.instance.due_at())

    def live_children(self, key: Key) -> list[str]:
        children = self._children.get(key, {})
        return [child.instance_id for child in children if self._instances[child].is_live]

    def due(self, after: datetime | None, until: datetime) -> Iterable[ReadyTurn]:
        first = 0 if after is None else self._behind(after)
        for _, key in self._by_time[first : self._behind(until)]:
            origin = self._instances[key].origin
            yield ReadyTurn(key.hub, key.instance_id, origin.name, origin.version)

    def next_due(self, after: datetime) -> datetime | None:
        first = self._behind(after)
        return self._by_time[first][0] if first < len(self._by_time) else None

    def outstanding_tasks(self) -> Iterator[tuple[Key, TaskRow]]:
        for key, instance in self._instances.items():
            for row in instance.tasks.values():
                yield key, row

    def close(self) -> None:
        """Nothing is held."""

    def _write_history(self, change: Change) -> None:
        for transition in change.transitions:
            if transition.origin is not None:
                self._histories[change.key] = bytearray()
            self._histories[change.key] += spliced(transition.events)

    def _take_over(self, change: Change) -> None:
        for transition in change.transitions:
            stored = self._instances.get(change.key)
            if stored is None:
                stored = self._instances[change.key] = blank(change.key.instance_id, transition)
            if transition.origin is not None:
                self._file(change.key, stored.origin.parent, transition.origin.parent)
            stored.absorb(transition)

    def _file(self, key: Key, old: ParentLink | None, new: ParentLink | None) -> None:
        """List the instance among the children of its parent, and of nobody else."""
        if old is not None:
            self._children.get(Key(key.hub, old.instance_id), {}).pop(key, None)
        if new is not None:
            self._children.setdefault(Key(key.hub, new.instance_id), {})[key] = None

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
    )
