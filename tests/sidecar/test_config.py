"""Options from a file, read as the command reads them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import pytest

from builders.command import run
from durabletask.sidecar.__main__ import main
from durabletask.sidecar.command import config
from durabletask.sidecar.command.options import FOR_EXEC, FOR_SERVE, dialect, network, storage
from durabletask.sidecar.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from durabletask.sidecar.command.options import Group


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.toml"


def parsed(
    file: Path, text: str, *arguments: str, groups: tuple[Group, ...] = FOR_SERVE
) -> argparse.Namespace:
    file.write_text(text)
    return config.parse(argparse.ArgumentParser(), groups, ["--config", str(file), *arguments])


def test_a_file_says_what_flags_say(file: Path) -> None:
    options = parsed(file, "port = 0\ndb = 'tasks.db'\nsynchronous = 'normal'\ndialect = 'dapr'")

    assert network.read(options) == network.Network("127.0.0.1", 0)
    assert storage.read(options) == storage.Storage("tasks.db", "normal")
    assert dialect.read(options) == "dapr"


def test_a_flag_wins_over_the_file(file: Path) -> None:
    options = parsed(file, "port = 7\nhost = 'localhost'", "--port", "8")

    assert network.read(options) == network.Network("localhost", 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "'prot'"),
        ("por = 1", "'por'"),
        ("config = 'other.toml'", "'config'"),
        ("help = true", "'help'"),
        ("port = 'x'", "port: invalid"),
        ("port = 65536", "port: 65536 is not between"),
        ("port = true", "port: expected one argument"),
        ("port = false", "'port'"),
        ("port = 1.5", "port: invalid"),
        ("dialect = 'klingon'", "dialect: invalid choice"),
        ("[storage]\ndb = 'x'", "'storage' is a table"),
        ("port = ", "nvalid value"),
        ("port = 1\nport = 2", "overwrite a value"),
    ],
)
def test_a_line_that_makes_no_sense_is_one_clear_line(
    file: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)

    code = main(["--config", str(file)])

    errors = capsys.readouterr().err
    assert code == 2
    assert errors.count("\n") == 1
    assert str(file) in errors
    assert says in errors


def test_a_file_that_is_no_text_is_one_clear_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"\xff\xfe")

    assert main(["--config", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_missing_is_one_clear_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(file)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert str(file) in errors


def test_exec_has_a_file_too_and_takes_no_flag_of_its_command_for_it(file: Path) -> None:
    assert storage.read(parsed(file, "db = 'tasks.db'", groups=FOR_EXEC)).path == "tasks.db"

    assert run("exec", "--", sys.executable, "-c", "", "--config", "none.toml").returncode == 0


def test_a_server_says_which_dialects_there_are() -> None:
    with pytest.raises(ValueError, match="auto, taskhub, dapr, not 'klingon'"):
        Server(dialect="klingon")
