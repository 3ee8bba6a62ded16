"""What was committed is there when the file is opened anew, or a copy of it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.engine.commands import RaiseEvent
from durabletask.sidecar.store import ForeignFileError, Key
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import HUB, EngineDriver, child, end, schedule, timer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A = Key(HUB, "a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def test_everything_is_there_after_the_file_was_opened_anew(path: Path) -> None:
    first = SqliteStore(path)
    hub = EngineDriver(first)
    hub.start()
    hub.decide(schedule(1))
    hub.finish_next("1")
    turn, history = hub.taken(), first.history(A)
    first.close()

    second = SqliteStore(path)
    reopened = EngineDriver(second, now=hub.now)

    assert second.history(A) == history
    assert reopened.taken().request == turn.request
    ready = reopened.committer.ready(reopened.now)
    assert [each.instance_id for each in ready.turns] == ["a"]
    second.close()


def test_activities_and_timers_survive_too(path: Path) -> None:
    first = SqliteStore(path)
    hub = EngineDriver(first)
    hub.start()
    fire_at = hub.now.replace(year=2030)
    hub.decide(schedule(1), timer(2, fire_at))
    first.close()

    second = SqliteStore(path)
    reopened = EngineDriver(second, now=hub.now)
    ready = reopened.committer.ready(reopened.now)

    assert [task.task_key for task in ready.tasks] == [hub.tasks[0].task_key]
    assert reopened.committer.next_due(reopened.now) == fire_at
    reopened.finish(ready.tasks[0], '"of the old process"')
    [event] = reopened.taken().new
    assert event.task_completed.result == '"of the old process"'
    second.close()


def test_the_file_can_be_backed_up_while_in_use(store: SqliteStore, path: Path) -> None:
    hub = EngineDriver(store)
    hub.start()
    copy = path.with_name("copy.db")

    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    hub.do(RaiseEvent("after the backup"))

    restored = SqliteStore(copy)
    instance = restored.load(A)
    assert instance is not None
    assert len(instance.inbox) == 1
    restored.close()


def test_the_cached_history_is_the_stored_one_whatever_was_committed(path: Path) -> None:
    store = SqliteStore(path)
    hub = EngineDriver(store)
    hub.start()
    for number in range(1, 20):
        hub.decide(schedule(number))
        hub.finish_next(str(number))
        assert store.history(A)
    kept = store.history(A)
    store.close()

    reopened = SqliteStore(path)

    assert reopened.history(A) == kept
    reopened.close()


def test_a_committer_that_keeps_nothing_in_memory_finds_everything_in_the_file(
    store: SqliteStore,
) -> None:
    hub = EngineDriver(store)
    hub.committer = Committer(store, most_bytes=0)
    hub.start()
    hub.decide(schedule(1), child(2, "kid"))
    hub.finish_next("1")
    hub.decide(end(result="2"), to="kid")

    hub.decide(end(result="3"))

    assert hub.state().progress.output == "3"


@pytest.mark.parametrize("content", [b"x", b"to do: buy milk\n"])
def test_a_small_file_that_is_no_database_is_not_taken_for_an_empty_one(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)

    with pytest.raises(ForeignFileError, match=r"tasks\.db is not an SQLite database"):
        SqliteStore(path)

    assert path.read_bytes() == content
