"""Scenarios over a file with a power failure at one commit, and what is found afterwards.

The power failure leaves the file as it is at that moment, with its write-ahead log and without
any closing. A new sidecar opens a copy of that, and nothing else.
"""

from __future__ import annotations

import enum
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.commands import RaiseEvent, Rewind
from durabletask.sidecar.store import Change, EntityChange
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.inline_sidecar import (
    Activity,
    Ending,
    InlineSidecar,
    Outside,
    Scenario,
    endings,
    entity_states,
    leftovers,
)
from tests.builders.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from durabletask.sidecar.store import Transaction


class PowerCut(BaseException):
    """Stands in for the process dying; not an Exception so nothing can swallow it."""


class Moment(enum.Enum):
    BEFORE = "before"
    AFTER = "after"


class CountingStore(SqliteStore):
    """Knows how often it was written to, and about whom."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="normal")
        self.path = path
        self.commits = 0
        self.instance_ids: set[str] = set()

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        super().commit(changes)
        self._count(changes)

    def begin(self, changes: Sequence[Change | EntityChange]) -> Transaction:
        self.begun = changes
        return super().begin(changes)

    def flush(self) -> None:
        super().flush()
        self._count(self.begun)

    def _count(self, changes: Sequence[Change | EntityChange]) -> None:
        self.commits += 1
        instances = (change for change in changes if isinstance(change, Change))
        self.instance_ids.update(change.key.instance_id for change in instances)


class CrashingStore(CountingStore):
    """Survives so many commits, and dies at the next."""

    def __init__(self, path: Path, survives: int, moment: Moment) -> None:
        super().__init__(path)
        self._survives = survives
        self._moment = moment
        self.remains = path.with_name(f"{path.stem}-{survives}.db")

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        with self._power():
            super().commit(changes)

    def flush(self) -> None:
        with self._power():
            super().flush()

    @contextmanager
    def _power(self) -> Iterator[None]:
        is_last = self.commits == self._survives
        if is_last and self._moment is Moment.BEFORE:
            self._die()
        yield
        if is_last:
            self._die()

    def _die(self) -> None:
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{self.remains}{suffix}")
        raise PowerCut


class FullDisk(CountingStore):
    """Fails at one commit when all of it is written; then there is room again."""

    def __init__(self, path: Path, survives: int) -> None:
        super().__init__(path)
        self._survives = survives

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        if self.commits == self._survives:
            self._survives = -1
            super().commit(_Unfinished(changes))
        super().commit(changes)

    def begin(self, changes: Sequence[Change | EntityChange]) -> Transaction:
        if self.commits == self._survives:
            self._survives = -1
            super().begin(_Unfinished(changes))
        return super().begin(changes)


class _Unfinished(list[Change | EntityChange]):
    def __iter__(self) -> Iterator[Change | EntityChange]:
        yield from super().__iter__()
        raise sqlite3.OperationalError("database or disk is full")


@dataclass(frozen=True)
class Aftermath:
    """What there is to see when nothing will happen any more."""

    endings: dict[str, Ending | None]
    entities: dict[str, str | None]
    leftovers: list[str]
    runs: Counter[Activity]

    @property
    def results(self) -> dict[str, tuple[str, str | None] | None]:
        return {
            id: None if ending is None else ending.result for id, ending in self.endings.items()
        }


def aftermath(store: SqliteStore, outside: Outside, instance_ids: Iterable[str]) -> Aftermath:
    ids = sorted(instance_ids)
    return Aftermath(
        endings(store, ids), entity_states(store), leftovers(store, ids), Counter(outside.runs)
    )


class Way(enum.Enum):
    """How the work of a scenario is committed."""

    ONE_BY_ONE = "one by one"
    GROUPED = "grouped"
    """All that is ready in one commit."""
    GROUPED_AND_APART = "grouped, flushed apart"
    """The same, with commits that wait for the disk on another thread."""


@dataclass(frozen=True)
class CrashCase:
    """A scenario, how its work is committed, and where its files go."""

    scenario: Scenario
    folder: Path
    way: Way = Way.ONE_BY_ONE

    def hub(self, store: SqliteStore, outside: Outside) -> InlineSidecar:
        return InlineSidecar(
            store,
            self.scenario,
            outside,
            grouped=self.way is not Way.ONE_BY_ONE,
            flushes_apart=self.way is Way.GROUPED_AND_APART,
        )

    def undisturbed(self) -> tuple[Aftermath, int]:
        """How it ends when nothing fails, and how many commits that takes."""
        outside = Outside.of(self.scenario)
        with closing(CountingStore(self.folder / "undisturbed.db")) as store:
            self.hub(store, outside).run()
            return aftermath(store, outside, store.instance_ids), store.commits

    def cut(self, outside: Outside, path: Path, survives: int, moment: Moment) -> Path:
        """Run over the file into a power cut; returns what is left of it."""
        store = CrashingStore(path, survives, moment)
        with closing(store), suppress(PowerCut):
            self.hub(store, outside).run()
            raise AssertionError(f"there are no {survives} commits")
        if moment is Moment.AFTER:
            _look_before_asking_again(outside)
        return store.remains

    def survive(
        self, survives: int, moment: Moment, instance_ids: Iterable[str]
    ) -> tuple[Aftermath, Counter[Activity]]:
        """A power cut at that commit and the life after it; what may have run once more."""
        outside = Outside.of(self.scenario)
        remains = self.cut(outside, self.folder / f"{moment.value}-{survives}.db", survives, moment)
        # An activity runs again only when its outcome was not committed.
        lost = Counter(outside.in_flight if moment is Moment.BEFORE else ())
        return self.recover(outside, remains, instance_ids), lost

    def recover(self, outside: Outside, remains: Path, instance_ids: Iterable[str]) -> Aftermath:
        """Run over what is left until nothing will happen any more."""
        with closing(CountingStore(remains)) as store:
            self.hub(store, outside).run()
            return aftermath(store, outside, instance_ids)


def _look_before_asking_again(outside: Outside) -> None:
    # An event arrives as often as it is raised, and what fails again can be rewound again, so
    # a client that does not know looks first. Whatever else it asked, it just asks again.
    call = outside.unanswered
    if call is not None and isinstance(call.command, RaiseEvent | Rewind) and call in outside.calls:
        outside.calls.remove(call)


CASES = [(name, Way.ONE_BY_ONE) for name in SCENARIOS]
# In the others there is never more than one thing ready.
CASES += [
    (name, Way.GROUPED)
    for name in ("fan-out", "children", "many at once", "entities contended for")
]
CASES += [(name, Way.GROUPED_AND_APART) for name in SCENARIOS]


@contextmanager
def quick_folder(otherwise: Path | None = None) -> Iterator[Path]:
    """In memory where that can be: no disk fails here, so there is none to wait for."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else otherwise
    with TemporaryDirectory(dir=parent) as name:
        yield Path(name)
