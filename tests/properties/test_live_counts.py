"""The count of live instances is right, also after commits that fail and after crashes."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from durabletask.sidecar.engine.commands import (
    Purge,
    Restart,
    Resume,
    Rewind,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.store import StoreError
from durabletask.sidecar.store.queries import InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import HUB, EngineDriver, Status, again, child, end, fail, schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.store import Change, EntityChange

IDS = st.sampled_from(["a", "b", "c", "d"])
MOST = 3


class FullDisk(SqliteStore):
    """Fails while it is told to."""

    is_full = False

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        if self.is_full:
            raise StoreError("the disk is full")
        super().commit(changes)


class LiveCountMachine(RuleBasedStateMachine):
    """A hub on a file, with room for three."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.lives = 0
        self.open(self.folder.name + "/0.db")

    def open(self, path: str) -> None:
        self.path = path
        self.store = FullDisk(path, synchronous="normal")
        self.hub = EngineDriver(self.store, instances=MOST)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(
        id=IDS,
        command=st.sampled_from(
            [
                StartInstance("order"),
                StartInstance("order", replaceable=frozenset({Status.COMPLETED, Status.RUNNING})),
                Terminate(recursive=True),
                Suspend(),
                Resume(),
                Restart(),
                Restart("d"),
                Rewind(),
                Purge(recursive=True),
                Purge(even_live=True),
            ]
        ),
    )
    def ask(self, id: str, command: Command) -> None:
        self.hub.do(command, id)

    @rule(
        id=IDS,
        actions=st.lists(
            st.sampled_from(
                [
                    schedule(1),
                    child(2, "c"),
                    child(3, "d"),
                    end(),
                    fail(),
                    again(),
                ]
            ),
            max_size=3,
        ),
    )
    def decide(self, id: str, actions: list[Any]) -> None:
        turn = self.hub.turn(id)
        if turn is not None:
            self.hub.answer(turn, *actions, to=id)

    @rule()
    def fail_next_commit(self) -> None:
        self.store.is_full = True
        with suppress(StoreError):
            self.hub.commit(("a", StartInstance("order")), ("b", Terminate()))
        self.store.is_full = False

    @rule()
    def cut_the_power(self) -> None:
        """What is on the disk at this moment is all that is left."""
        self.lives += 1
        remains = str(Path(self.path).with_name(f"{self.lives}.db"))
        for suffix in ("", "-wal"):
            if Path(self.path + suffix).exists():
                shutil.copy(self.path + suffix, remains + suffix)
        self.store.close()
        self.open(remains)

    @invariant()
    def the_count_is_what_one_finds_by_looking(self) -> None:
        found = Counter(
            HUB
            for each in self.store.instances(HUB, InstanceQuery())
            if not each.progress.is_terminal
        )
        assert self.hub.committer.live_count(HUB) == found[HUB]
        assert dict(self.store.live_counts()) == dict(found)

    @invariant()
    def there_are_not_more_than_may_be_but_for_children_of_rewinds(self) -> None:
        assert self.hub.committer.live_count(HUB) <= MOST + 2


TestLiveCounts = pytest.mark.slow(LiveCountMachine.TestCase)
TestLiveCounts.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
