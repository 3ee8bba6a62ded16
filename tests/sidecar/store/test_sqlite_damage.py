"""A file that lost something is refused, or says what cannot be read; nothing is made up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.engine.commands import StartInstance
from durabletask.sidecar.store import Key, StoreError, UnreadableError
from durabletask.sidecar.store.queries import InstanceQuery
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders.engine import HUB, EngineDriver

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two instances in it."""
    path = tmp_path / "tasks.db"
    with closing(SqliteStore(path)) as store:
        EngineDriver(store).commit(("a", StartInstance("order")), ("b", StartInstance("order")))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    return str(caught.value)


def spoil(path: Path, change: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute(change)
        other.commit()


@pytest.mark.parametrize("content", [None, b""], ids=["gone", "empty"])
def test_a_log_without_its_file_is_not_thrown_away(path: Path, content: bytes | None) -> None:
    log = path.with_name("tasks.db-wal")
    path.rename(log)
    if content is not None:
        path.write_bytes(content)

    told = refusal(path)

    assert "put the file back" in told
    assert log.stat().st_size > 0


@pytest.mark.parametrize("missing", [1, PAGE - 1, PAGE])
def test_a_file_that_was_cut_short_is_refused(path: Path, missing: int) -> None:
    path.write_bytes(path.read_bytes()[:-missing])

    assert "\n" not in refusal(path)


def test_a_half_written_page_is_no_damage_while_the_log_can_make_it_good(tmp_path: Path) -> None:
    """As a process leaves it that is killed in the middle of a checkpoint."""
    path, copy = tmp_path / "tasks.db", tmp_path / "copy.db"
    with closing(SqliteStore(path)) as store:
        EngineDriver(store).commit(("a", StartInstance("order")))
        copy.write_bytes(path.read_bytes() + b"half a page")
        log = path.with_name("tasks.db-wal")
        copy.with_name("copy.db-wal").write_bytes(log.read_bytes())

    with closing(SqliteStore(copy)) as found:
        assert found.load(Key(HUB, "a")) is not None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE origins SET tags = 'not JSON' WHERE instance_id = 'a'",
        "UPDATE origins SET trace_context = x'ff' WHERE instance_id = 'a'",
        "UPDATE progress SET status = 'seven' WHERE instance_id = 'a'",
        "DELETE FROM progress WHERE instance_id = 'a'",
    ],
)
def test_damaged_rows_are_named_and_all_others_can_be_read(path: Path, change: str) -> None:
    spoil(path, change)

    with closing(SqliteStore(path)) as store:
        with pytest.raises(UnreadableError, match="'a' is damaged"):
            store.load(Key(HUB, "a"))
        assert store.load(Key(HUB, "b")) is not None


def test_a_list_says_which_row_it_cannot_read(path: Path) -> None:
    spoil(path, "UPDATE origins SET tags = 'not JSON' WHERE instance_id = 'b'")

    with closing(SqliteStore(path)) as store, pytest.raises(UnreadableError, match="'b' is"):
        list(store.instances(HUB, InstanceQuery()))
