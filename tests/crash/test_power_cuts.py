"""Whatever commit the power fails at, real orchestrations end as if it had not failed.

The cut leaves the file as it is at that moment, with its write-ahead log and without any
closing. A new sidecar opens a copy of that, and knows nothing else.
"""

from __future__ import annotations

import enum
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from builders.hub import (
    Activity,
    Ending,
    Hub,
    Outside,
    Scenario,
    endings,
    entity_states,
    leftovers,
)
from builders.scenarios import SCENARIOS
from durabletask.sidecar.engine.commands import RaiseEvent, Resume, StartInstance, Suspend
from durabletask.sidecar.engine.transition import Accepted, AlreadyExists
from durabletask.sidecar.store import Change, EntityChange, StoreError
from durabletask.sidecar.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from durabletask.sidecar.engine.transition import Reply


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
        self.commits += 1
        instances = (change for change in changes if isinstance(change, Change))
        self.instance_ids.update(change.key.instance_id for change in instances)


class MortalStore(CountingStore):
    """Survives so many commits, and dies at the next."""

    def __init__(self, path: Path, survives: int, moment: Moment) -> None:
        super().__init__(path)
        self._survives = survives
        self._moment = moment
        self.remains = path.with_name(f"{path.stem}-{survives}.db")

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        is_last = self.commits == self._survives
        if is_last and self._moment is Moment.BEFORE:
            self._die()
        super().commit(changes)
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


class _Unfinished(list[Change | EntityChange]):
    def __iter__(self) -> Iterator[Change | EntityChange]:
        yield from super().__iter__()
        raise sqlite3.OperationalError("database or disk is full")


@dataclass(frozen=True)
class Aftermath:
    """What there is to see when nothing will happen any more."""

    endings: dict[str, Ending]
    entities: dict[str, str | None]
    leftovers: list[str]
    runs: Counter[Activity]

    @property
    def results(self) -> dict[str, tuple[str, str | None]]:
        return {id: ending.result for id, ending in self.endings.items()}


def aftermath(store: SqliteStore, outside: Outside, instance_ids: Iterable[str]) -> Aftermath:
    ids = sorted(instance_ids)
    return Aftermath(
        endings(store, ids), entity_states(store), leftovers(store, ids), Counter(outside.runs)
    )


@dataclass(frozen=True)
class Stage:
    """A scenario, how its work is committed, and where its files go."""

    scenario: Scenario
    folder: Path
    grouped: bool = False

    def hub(self, store: SqliteStore, outside: Outside) -> Hub:
        return Hub(store, self.scenario, outside, grouped=self.grouped)

    def undisturbed(self) -> tuple[Aftermath, int]:
        """How it ends when nothing fails, and how many commits that takes."""
        outside = Outside.of(self.scenario)
        with closing(CountingStore(self.folder / "undisturbed.db")) as store:
            self.hub(store, outside).run()
            return aftermath(store, outside, store.instance_ids), store.commits

    def cut(self, outside: Outside, path: Path, survives: int, moment: Moment) -> Path:
        """Run over the file into a power cut; returns what is left of it."""
        store = MortalStore(path, survives, moment)
        with closing(store), pytest.raises(PowerCut):
            self.hub(store, outside).run()
        if moment is Moment.AFTER:
            _look_before_raising_again(outside)
        return store.remains

    def recover(self, outside: Outside, remains: Path, instance_ids: Iterable[str]) -> Aftermath:
        """Run over what is left until nothing will happen any more."""
        with closing(CountingStore(remains)) as store:
            self.hub(store, outside).run()
            return aftermath(store, outside, instance_ids)


def _look_before_raising_again(outside: Outside) -> None:
    # An event arrives as often as it is raised, so a client that does not know looks first.
    # Whatever else it asked, it just asks again.
    call = outside.unanswered
    if call is not None and isinstance(call.command, RaiseEvent) and call in outside.calls:
        outside.calls.remove(call)


STAGES = [(name, False) for name in SCENARIOS]
# In the others there is never more than one thing ready.
STAGES += [
    (name, True) for name in ("fan-out", "children", "many at once", "entities contended for")
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be: no disk fails here, so there is none to wait for."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else tmp_path
    with TemporaryDirectory(dir=parent) as name:
        yield Path(name)


@pytest.fixture(params=STAGES, ids=lambda it: f"{it[0]}, grouped" if it[1] else it[0])
def stage(request: pytest.FixtureRequest, folder: Path) -> Stage:
    name, grouped = request.param
    return Stage(SCENARIOS[name], folder, grouped=grouped)


every_moment = pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)


def test_what_has_ended_leaves_no_row_that_waits(stage: Stage) -> None:
    smooth, _ = stage.undisturbed()

    assert smooth.leftovers == []


@every_moment
def test_a_power_cut_at_any_commit_loses_and_repeats_nothing(stage: Stage, moment: Moment) -> None:
    smooth, commits = stage.undisturbed()

    for survives in range(commits):
        outside = Outside.of(stage.scenario)
        remains = stage.cut(outside, stage.folder / f"{survives}.db", survives, moment)
        # An activity runs again only when its outcome was not committed.
        lost = Counter(outside.in_flight if moment is Moment.BEFORE else ())

        recovered = stage.recover(outside, remains, smooth.endings)

        assert recovered == replace(smooth, runs=smooth.runs + lost), f"commit {survives}"


def test_a_sidecar_that_dies_after_every_commit_gets_everything_done(stage: Stage) -> None:
    smooth, commits = stage.undisturbed()
    outside = Outside.of(stage.scenario)
    path = stage.folder / "life.db"

    for _ in range(commits):
        path = stage.cut(outside, path, 0, Moment.AFTER)

    assert stage.recover(outside, path, smooth.endings) == smooth


# After a day the clients of the two left out come too late, and rightly hear so.
@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - {"approved", "suspended"}))
def test_a_day_without_a_sidecar_changes_no_result(folder: Path, name: str) -> None:
    stage = Stage(SCENARIOS[name], folder)
    smooth, commits = stage.undisturbed()

    for survives in range(commits):
        outside = Outside.of(stage.scenario)
        remains = stage.cut(outside, folder / f"{survives}.db", survives, Moment.AFTER)
        outside.now += timedelta(days=1)

        recovered = stage.recover(outside, remains, smooth.endings)

        assert recovered.results == smooth.results, f"commit {survives}"
        assert recovered.leftovers == [], f"commit {survives}"


def test_a_commit_that_fails_can_be_tried_again(stage: Stage) -> None:
    """Neither the store nor the committer has taken over any of it."""
    smooth, commits = stage.undisturbed()

    for survives in range(commits):
        outside = Outside.of(stage.scenario)
        with closing(FullDisk(stage.folder / f"{survives}.db", survives)) as store:
            hub = stage.hub(store, outside)
            with pytest.raises(StoreError, match="is full"):
                hub.run()
            lost = Counter(outside.in_flight)

            hub.run()

            tried_again = aftermath(store, outside, smooth.endings)
        assert tried_again == replace(smooth, runs=smooth.runs + lost), f"commit {survives}"


def test_a_client_that_repeats_a_call_it_got_no_answer_to_is_told_what_is(folder: Path) -> None:
    stage = Stage(SCENARIOS["suspended"], folder)
    _, commits = stage.undisturbed()
    told: dict[type, type[Reply]] = {}

    for survives in range(commits):
        outside = Outside.of(stage.scenario)
        remains = stage.cut(outside, folder / f"{survives}.db", survives, Moment.AFTER)
        in_vain = outside.unanswered
        stage.recover(outside, remains, ["a"])
        told |= {type(call.command): type(it) for call, it in outside.replies if call is in_vain}

    assert told == {StartInstance: AlreadyExists, Suspend: Accepted, Resume: Accepted}
