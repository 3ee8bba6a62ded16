"""The command `check`: files without damage, and each kind of damage."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.command import main
from durabletask.sidecar.store.sqlite import SqliteStore
from tests.builders import inline_sidecar as real
from tests.builders.engine import EngineDriver, child, end, schedule
from tests.builders.engine_entities import COUNTER, lock
from tests.builders.scenarios import SCENARIOS
from tests.builders.sidecar import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders.inline_sidecar import Scenario

# The page size of our files.
PAGE = 4096


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with an instance that waits, one that has ended, and an entity that is locked."""
    path = tmp_path / "tasks.db"
    with closing(SqliteStore(path)) as store:
        hub = EngineDriver(store)
        hub.start("a")
        hub.decide(schedule(1), child(2, "kid"), lock(3, "s", COUNTER))
        hub.start("b")
        hub.decide(end(result='"done"'), to="b")
    return path


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and lines; nothing else is printed."""
    code = main(["check", str(path)])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, (printed.out or printed.err).splitlines()


def spoil(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_an_undamaged_file_has_no_problems(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, capsys) == (
        0,
        [f"checked 4 instances and entities of {file}, problems found: none"],
    )


def test_a_check_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, content = {each.name for each in file.parent.iterdir()}, file.read_bytes()

    check(file, capsys)

    assert {each.name for each in file.parent.iterdir()} == names
    assert file.read_bytes() == content


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_no_scenario_leaves_a_problem(
    scenario: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tasks.db"
    with closing(SqliteStore(path, synchronous="normal")) as store:
        real.InlineSidecar(store, scenario, real.Outside.of(scenario)).run()

    assert check(path, capsys)[0] == 0


async def test_a_file_is_checked_while_a_sidecar_serves_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(file) as peer:
        await peer.start("order", "c")

        code, (line,) = check(file, capsys)

        assert (code, line.split()[1]) == (0, "5")
        await peer.start("order", "d")


def test_what_a_killed_sidecar_left_in_the_log_is_checked_and_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = tmp_path / "killed.db"
    with closing(SqliteStore(file)) as store:
        EngineDriver(store).start("c")
        killed.write_bytes(file.read_bytes())
        log = killed.with_name("killed.db-wal")
        log.write_bytes(file.with_name("tasks.db-wal").read_bytes())
    content, logged = killed.read_bytes(), log.read_bytes()

    code, (line,) = check(killed, capsys)

    assert (code, line.split()[1]) == (0, "5")
    assert (killed.read_bytes(), log.read_bytes()) == (content, logged)


FINDINGS = {
    "an activity that is lost": ("DELETE FROM tasks", '"default" "a" waits:'),
    "a piece of history": (
        "UPDATE history SET first_event = 2 WHERE instance_id = 'b'",
        '"default" "b" gapless:',
    ),
    "another size of a history": (
        "UPDATE progress SET history_bytes = 1 WHERE instance_id = 'b'",
        '"default" "b" length:',
    ),
    "bytes that are no events": (
        "UPDATE history SET events = x'1aff' WHERE instance_id = 'b'",
        '"default" "b" decodes:',
    ),
    "an alarm that was not set": (
        "UPDATE progress SET due_at = 1 WHERE instance_id = 'a'",
        '"default" "a" wakes:',
    ),
    "another status": (
        "UPDATE progress SET status = 3 WHERE instance_id = 'b'",
        '"default" "b" ending:',
    ),
    "a status of nobody's": (
        "UPDATE progress SET status = 'odd' WHERE instance_id = 'b'",
        '"default" "b" readable:',
    ),
    "tags that are no JSON": (
        "UPDATE origins SET tags = '{' WHERE instance_id = 'b'",
        '"default" "b" readable:',
    ),
    "a time beyond all calendars": (
        "UPDATE progress SET updated_at = 9000000000000000000 WHERE instance_id = 'b'",
        '"default" "b" readable:',
    ),
    "half an instance": (
        "DELETE FROM progress WHERE instance_id = 'kid'",
        '"default" "kid" owned:',
    ),
    "rows of nobody": (
        "UPDATE inbox SET instance_id = 'ghost' WHERE instance_id = 'kid'",
        '"default" "ghost" owned:',
    ),
    "an entity that is gone": ("DELETE FROM entities", '"default" "a" locks:'),
    "a lock that nobody holds": (
        "UPDATE entities SET holder_id = 'ghost'",
        f'"default" "{COUNTER}" unlocks:',
    ),
}


@pytest.mark.parametrize(("statement", "line"), FINDINGS.values(), ids=FINDINGS)
def test_a_problem_is_one_line_that_says_where_it_is(
    statement: str, line: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(file, statement)

    code, lines = check(file, capsys)

    assert code == 1
    assert any(each.startswith(line) for each in lines), lines
    assert re.search(r"problems found: [1-9]\d*$", lines[-1])


def test_an_id_with_a_line_break_stays_on_one_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(file, "INSERT INTO calls VALUES ('default', 'no' || char(10) || 'body', 'r', 'e')")

    _, lines = check(file, capsys)

    assert lines[0] == '"default" "no\\nbody" owned: rows of calls belong to no instance or entity'


def test_a_damaged_page_is_reported_without_a_traceback_wherever_it_is(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = file.read_bytes()
    path = tmp_path / "damaged.db"
    codes = []
    for begin in range(PAGE, len(whole), PAGE):
        path.write_bytes(whole[:begin] + b"\xff" * PAGE + whole[begin + PAGE :])

        code, lines = check(path, capsys)

        codes.append(code)
        assert lines[0].startswith("file " if code == 1 else "durabletask-sidecar: "), lines

    # Where the schema is damaged, which has several pages, nothing can be read.
    assert set(codes) == {1, 2}
    assert codes.count(1) > codes.count(2)


def test_a_truncated_file_is_reported(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(file.read_bytes()[: 5 * PAGE + 100])

    code, lines = check(path, capsys)

    assert code in (1, 2)
    assert lines


@pytest.mark.parametrize("content", [None, b"", b"certainly not a database" * 1000])
def test_a_file_that_is_not_a_sidecars_cannot_be_checked(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tasks.db"
    if content is not None:
        path.write_bytes(content)

    code, (line,) = check(path, capsys)

    assert code == 2
    assert str(path) in line


def test_a_file_of_a_newer_version_is_not_checked(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(file, "PRAGMA user_version = 1000")

    code, (line,) = check(file, capsys)

    assert code == 2
    assert "newer" in line


def columns(path: Path) -> list[tuple[str, str]]:
    """Every column of every table."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT tables.name, columns.name FROM sqlite_master AS tables "
            "JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
        )
        return [(table, column) for table, column in found]


@pytest.mark.parametrize("value", ["NULL", "'x'", "x'ff'", "-1", "9000000000000000000", "1e300"])
def test_no_value_in_any_column_is_a_traceback(
    value: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = file.read_bytes()
    path = tmp_path / "odd.db"
    for table, column in columns(file):
        path.write_bytes(whole)
        spoil(path, f"UPDATE OR IGNORE {table} SET {column} = {value}")

        code, lines = check(path, capsys)

        assert code in (0, 1), f"{table}.{column}: {lines}"
