"""What only a file can promise, and what can only happen to a file."""

from __future__ import annotations

import itertools
import os
import sqlite3
import sys
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import CompleteTurn, RaiseEvent, StartInstance
from durabletask.sidecar.store import (
    ForeignFileError,
    Key,
    SnapshotError,
    StoreError,
    StoreLockedError,
    files,
)
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import EPOCH, HUB, EngineDriver, child, schedule
from tests.builders.flushes import apart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from durabletask.sidecar.commit.committer import CommitInProgress
    from durabletask.sidecar.engine.commands import Command

KEY = Key(HUB, "a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


def look(path: Path, query: str) -> Any:
    """The first value that somebody else's connection to the file sees."""
    with closing(sqlite3.connect(path)) as other:
        found = other.execute(query).fetchone()
        other.commit()
        return None if found is None else found[0]


def refusal(path: Path) -> str:
    """Why the file cannot be opened, in one line that names it."""
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_the_header_says_whose_file_it_is(path: Path) -> None:
    SqliteStore(path).close()

    header = path.read_bytes()[:100]

    assert header[68:72] == b"DTpy"
    assert look(path, "PRAGMA user_version") == 2


def test_pages_that_are_no_longer_used_can_be_given_back(path: Path) -> None:
    SqliteStore(path).close()

    incremental = 2
    assert look(path, "PRAGMA auto_vacuum") == incremental


def test_an_empty_file_is_as_good_as_none(path: Path) -> None:
    path.touch()

    SqliteStore(path).close()

    assert look(path, "PRAGMA user_version") == 2


def test_the_file_is_written_ahead_so_that_others_can_read_it_meanwhile(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        EngineDriver(store).start()

        assert look(path, "PRAGMA journal_mode") == "wal"
        assert look(path, "SELECT count(*) FROM origins") == 1


def test_a_second_sidecar_is_refused_until_the_first_is_gone(path: Path) -> None:
    first = SqliteStore(path)

    with pytest.raises(StoreLockedError, match="in use by another durabletask-sidecar"):
        SqliteStore(path)

    first.close()
    SqliteStore(path).close()


def test_a_second_sidecar_is_refused_by_whatever_name_it_calls_the_file(
    path: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)

    with closing(SqliteStore(path)), pytest.raises(StoreLockedError):
        SqliteStore(link)
    with closing(SqliteStore(link)), pytest.raises(StoreLockedError):
        SqliteStore(path)


def test_a_uri_is_refused_for_sqlite_would_open_the_file_past_its_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    for name in (f"file:{path.name}", f"file:{path}?mode=rwc"):
        with pytest.raises(StoreError, match="is a URI; give the path of the file instead"):
            SqliteStore(name)

    assert not list(path.parent.iterdir())


def test_a_relative_path_that_only_looks_like_a_uri_is_a_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    SqliteStore("./file:tasks.db").close()

    assert path.with_name("file:tasks.db").stat().st_size
    assert not path.exists()


def test_a_database_in_memory_needs_no_lock_and_leaves_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    with closing(SqliteStore(":memory:")) as store, closing(SqliteStore(":memory:")) as other:
        EngineDriver(store).start()

        assert store.load(KEY) is not None
        assert other.load(KEY) is None

    assert not list(path.parent.iterdir())


def test_a_file_that_is_gone_is_not_made_anew_while_its_log_is_there(
    path: Path, tmp_path: Path
) -> None:
    link, log = tmp_path / "link.db", path.with_name(f"{path.name}-wal")
    link.symlink_to(path)
    log.write_bytes(b"what was acknowledged")

    for name in (path, link):
        with pytest.raises(StoreError, match="put the file back"):
            SqliteStore(name)

    assert log.exists()


def test_a_file_that_could_not_be_opened_is_not_kept_locked(path: Path) -> None:
    path.write_bytes(b"x" * 4096)
    refusal(path)
    path.unlink()

    SqliteStore(path).close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_does_not_keep_the_file_locked(path: Path) -> None:
    store = SqliteStore(path)
    ready, go = os.pipe()
    with warnings.catch_warnings():
        # Other tests may have left threads; the child only waits, so they do it no harm.
        warnings.simplefilter("ignore", DeprecationWarning)
        child_id = os.fork()
    if child_id == 0:
        os.close(go)
        os.read(ready, 1)
        os._exit(0)
    try:
        store.close()
        SqliteStore(path).close()
    finally:
        os.close(go)
        os.close(ready)
        os.waitpid(child_id, 0)


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    look(path, "CREATE TABLE cups (size)")
    before = path.read_bytes()

    with pytest.raises(ForeignFileError, match="another program"):
        SqliteStore(path)

    assert path.read_bytes() == before


def test_an_empty_database_that_names_another_program_is_left_alone(path: Path) -> None:
    look(path, "PRAGMA application_id = 7")

    assert "another program" in refusal(path)


def test_a_file_of_a_newer_version_asks_for_an_upgrade_and_is_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    look(path, "PRAGMA user_version = 999")

    with pytest.raises(ForeignFileError, match=r"schema 999.*upgrade durabletask-sidecar"):
        SqliteStore(path)

    assert look(path, "PRAGMA user_version") == 999


@pytest.mark.parametrize("content", [b"my novel\n" * 1000, b"x"], ids=["long", "short"])
def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert "not an SQLite database" in refusal(path)

    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["no/such/folder/tasks.db", "."])
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str) -> None:
    refusal(tmp_path / name)


def test_a_directory_is_no_file(path: Path) -> None:
    path.mkdir()

    assert "cannot" in refusal(path)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="this user may read and write everything"
)
def test_a_file_that_may_not_be_written_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o400)

    assert "cannot" in refusal(path)


def test_a_damaged_file_is_one_error_and_no_crash(path: Path) -> None:
    SqliteStore(path).close()
    raw = bytearray(path.read_bytes())
    raw[100:4096] = b"\xff" * (4096 - 100)
    path.write_bytes(raw)

    assert "cannot use" in refusal(path)


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_commits_are_flushed_as_asked(path: Path, synchronous: str, level: int) -> None:
    with closing(SqliteStore(path, synchronous=synchronous)) as store:
        # The setting is the connection's own: nobody else can see it.
        [found] = store._connection.execute("PRAGMA synchronous").fetchone()

    assert found == level


def test_other_ways_to_flush_are_refused_before_the_file_is_touched(path: Path) -> None:
    with pytest.raises(ValueError, match="'full' or 'normal', not 'off'"):
        SqliteStore(path, synchronous="off")

    assert list(path.parent.iterdir()) == []


@pytest.fixture
def hub(path: Path) -> Iterator[EngineDriver]:
    """A hub on a file, with an instance whose first turn was taken."""
    store = SqliteStore(path)
    hub = EngineDriver(store)
    hub.start()
    hub.decide(schedule(1))
    yield hub
    store.close()


def break_writes_to(table: str, path: Path) -> None:
    look(
        path,
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )


def mend(path: Path) -> None:
    look(path, "DROP TRIGGER full_disk")


def in_memory(hub: EngineDriver) -> Any:
    """What the committer works with; copies, since a commit changes states in place."""
    state = hub.state()
    numbers = sorted(row.number for row in state.inbox)
    return state.origin, state.progress, numbers, dict(state.tasks), dict(state.children)


def everything(hub: EngineDriver) -> Any:
    """All that can be seen from outside."""
    store, now = hub.store, hub.now
    return (
        in_memory(hub),
        hub.committer.instance(HUB, "b"),
        hub.committer.instance(HUB, "kid"),
        store.history(KEY),
        store.live_children(KEY),
        list(store.due(None, now)),
        store.next_due(now),
        list(store.outstanding_tasks()),
    )


@pytest.mark.parametrize("table", ["origins", "progress", "history", "inbox", "tasks", "children"])
def test_a_commit_that_fails_has_not_happened_neither_in_the_file_nor_in_memory(
    hub: EngineDriver, path: Path, table: str
) -> None:
    hub.finish_next("1")
    turn = hub.taken()
    submissions: list[tuple[str, Command]] = [
        ("b", StartInstance("other")),
        ("a", RaiseEvent("go")),
        ("a", CompleteTurn(turn.prepared.turn, [schedule(2), child(3, "kid")], custom_status="x")),
    ]
    before = everything(hub)
    break_writes_to(table, path)

    with pytest.raises(StoreError, match=r"was rolled back.*disk is full"):
        hub.commit(*submissions)

    assert everything(hub) == before
    mend(path)
    hub.commit(*submissions)
    assert hub.state("b").origin.name == "other"
    assert hub.state("kid").origin.parent is not None
    assert hub.history_kinds()[-2:] == ["task_scheduled", "sub_orchestration_instance_created"]
    hub.store.close()
    with closing(SqliteStore(path)) as reopened:
        assert in_memory(EngineDriver(reopened)) == in_memory(hub)


def test_a_store_that_cannot_be_read_says_so(hub: EngineDriver, path: Path) -> None:
    look(path, "ALTER TABLE tasks RENAME TO mugs")

    with pytest.raises(StoreError, match="cannot be read"):
        hub.store.load(KEY)


def test_each_trim_returns_as_much_space_as_asked_and_the_last_says_so(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        hub = EngineDriver(store)
        for name in "ab":
            hub.start(name, input="x" * 200_000)
        store.wipe(HUB)
        free = look(path, "PRAGMA freelist_count")

        assert store.trim(10 * 4096)
        assert look(path, "PRAGMA freelist_count") == free - 10

        assert not store.trim(1000 * 4096)
        assert look(path, "PRAGMA freelist_count") == 0
        assert path.stat().st_size < 200_000


def test_a_file_of_the_first_schema_learns_the_sizes_of_its_histories(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    hub = EngineDriver(SqliteStore(path))
    hub.start()
    hub.decide(schedule(1))
    size = hub.state().progress.history_bytes
    hub.store.close()
    look(path, "ALTER TABLE progress DROP COLUMN history_bytes")
    look(path, "PRAGMA user_version = 1")

    with closing(SqliteStore(path)) as store:
        loaded = store.load(Key(HUB, "a"))
        history = store.history(Key(HUB, "a"))

    assert loaded is not None
    assert loaded.progress.history_bytes == size == len(history) > 0


def test_the_log_stays_small_when_one_of_32_commits_leaves_nobody_reading(tmp_path: Path) -> None:
    """As a slow disk is used: all others wait for it while the file is read."""
    path = tmp_path / "tasks.db"
    store = SqliteStore(path, synchronous="normal")
    committer = Committer(store)
    ids = map(str, itertools.count())
    largest = 0

    for number in range(128):
        start = [Submission(HUB, str(number), StartInstance("order", "x" * 150_000))]
        if number % 32:
            commit = committer.begin(start, now=EPOCH, new_id=lambda: next(ids))
            commit.flush()
            commit.complete()
        else:
            committer.commit(start, now=EPOCH, new_id=lambda: next(ids))
        largest = max(largest, files.log_size(path))
    store.close()

    assert largest < 0.6 * path.stat().st_size


def begun(store: SqliteStore, instance_id: str) -> CommitInProgress:
    start = [Submission(HUB, instance_id, StartInstance("order"))]
    return Committer(store).begin(start, now=EPOCH, new_id=lambda: "id")


def test_a_relative_path_is_still_found_when_the_process_has_changed_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore("tasks.db", synchronous="normal")) as store:
        monkeypatch.chdir(elsewhere)

        apart(begun(store, "a"))

        assert store.load(KEY) is not None


def test_without_a_snapshot_nothing_is_begun_and_the_next_commit_works(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(path, synchronous="normal")) as store:
        with monkeypatch.context() as patched:
            patched.setattr(files, "connect_beside", unreadable)
            with pytest.raises(SnapshotError, match="cannot read apart"):
                begun(store, "a")
        left_open = store.load(KEY)

        apart(begun(store, "a"))

        assert left_open is None
        assert store.load(KEY) is not None


def unreadable(_path: Path) -> sqlite3.Connection:
    """A connection on which transactions begin, but that cannot read what they would."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.set_authorizer(
        lambda action, *_: (
            sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_READ else sqlite3.SQLITE_OK
        )
    )
    return connection


def test_a_snapshot_that_cannot_be_ended_does_not_leave_the_changes_undecided(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = files.connect_beside
    opened: list[sqlite3.Connection] = []

    def connect_beside(path: Path) -> sqlite3.Connection:
        opened.append(beside(path))
        return opened[-1]

    monkeypatch.setattr(files, "connect_beside", connect_beside)
    with closing(SqliteStore(path, synchronous="normal")) as store:
        kept = begun(store, "a")
        kept.flush()
        opened[-1].close()
        kept.complete()
        dropped = begun(store, "b")
        opened[-1].close()
        dropped.roll_back()

        apart(begun(store, "c"))

        found = [store.load(Key(HUB, each)) is not None for each in "abc"]
        assert found == [True, False, True]


def test_a_commit_in_memory_waits_for_no_disk() -> None:
    with closing(SqliteStore(":memory:")) as store:
        start = [Submission(HUB, "a", StartInstance("order"))]
        commit = Committer(store).commit(start, now=EPOCH, new_id=lambda: "id")

        assert commit.flush_seconds == 0
