"""Options from a file, read as the command reads them."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar import Metrics, Security, SidecarOptions
from durabletask.sidecar.__main__ import main
from durabletask.sidecar.command import config
from durabletask.sidecar.command.options import FOR_EXEC, FOR_SERVE, for_exec, for_serve
from durabletask.sidecar.engine.limits import Limits, flag
from durabletask.sidecar.engine.limits import names as limit_names
from durabletask.sidecar.server import Server
from tests.builders.command import run

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


def test_a_file_has_the_same_options_as_the_command_line(file: Path) -> None:
    options = parsed(file, "port = 0\ndb = 'tasks.db'\nsynchronous = 'normal'\ndialect = 'dapr'")

    assert for_serve(options) == SidecarOptions(
        path="tasks.db",
        host="127.0.0.1",
        port=0,
        synchronous="normal",
        dialect="dapr",
        security=Security(),
    )


def test_the_defaults_of_all_options_but_the_port_are_those_of_the_class(file: Path) -> None:
    assert for_serve(parsed(file, "")) == SidecarOptions(port=4001, security=Security())
    assert for_exec(parsed(file, "", groups=FOR_EXEC)) == SidecarOptions()


def test_the_flags_of_metrics_security_and_retention_are_in_the_options(file: Path) -> None:
    text = """
        metrics-port = 9464
        metrics-host = "::1"
        tls-cert = "server.pem"
        tls-key = "server.key"
        client-ca = "clients.pem"
        token-file = "tokens"
        retain = 30
    """

    options = for_serve(parsed(file, text))

    assert options.metrics == Metrics(9464, "::1")
    assert options.security == Security("server.pem", "server.key", "clients.pem", "tokens")
    assert options.retention == timedelta(days=30)


def test_limits_are_numbers_sizes_or_none(file: Path) -> None:
    text = """
        max-payload-bytes = "2 MiB"
        max_history_bytes = "none"
        max_instances = 7
        max-message-bytes = 1048576
    """

    assert for_serve(parsed(file, text, "--max-instances", "8")).limits == Limits(
        payload_bytes=2 * 1024 * 1024, history_bytes=None, instances=8, message_bytes=1024 * 1024
    )


def test_the_default_limits_are_those_of_the_class(file: Path) -> None:
    assert for_serve(parsed(file, "")).limits == Limits()


@pytest.mark.parametrize("command", ["serve", "exec"])
@pytest.mark.parametrize("name", limit_names())
def test_every_limit_has_a_flag_that_is_named_in_the_help(
    command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    assert f"{flag(name)} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "max-streams = 0",
            "max-streams: streams must be at least 1, or None for no limit; it is 0",
        ),
        ("max-streams = '1MiB'", "max-streams: '1MiB' is neither a number nor none"),
        ("max-payload-bytes = '1 mile'", "'1 mile' is neither a number of bytes such as 1048576"),
        ("max-id-length = 1001", "max-id-length: id_length must be at most 1000; it is 1001"),
        ("max-streams = -1", "max-streams: '-1' is neither a number nor none"),
    ],
)
def test_an_invalid_limit_is_one_clear_line(
    file: Path, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    file.write_text(line)

    assert main(["--config", str(file)]) == 2
    assert says in capsys.readouterr().err


def test_a_flag_wins_over_the_file(file: Path) -> None:
    options = parsed(file, "port = 7\nhost = 'localhost'", "--port", "8")

    assert (for_serve(options).host, for_serve(options).port) == ("localhost", 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "'prot'"),
        ("por = 1", "'por'"),
        ("config = 'other.toml'", "'config'"),
        ("help = true", "'help'"),
        ("port = 'x'", "port: 'x' is not a port number from 0 to 65535"),
        ("port = 65536", "port: '65536' is not a port number from 0 to 65535"),
        ("port = true", "port: expected one argument"),
        ("port = false", "no option 'port' that can be true or false"),
        ("port = [1, 2]", "'port' is a list"),
        ("token-file = []", "'token-file' is a list"),
        ("prot = []", "'prot'"),
        ("'db=tasks.db' = true", "'db=tasks.db'"),
        ("drain-seconds = 1\ndrain_seconds = 2", "'drain_seconds' are the same option"),
        ("drain-seconds = 'soon'", "drain-seconds: 'soon' is not a number of seconds"),
        ("drain-seconds = nan", "drain-seconds: 'nan' is not a number of seconds"),
        ("retain = 'long'", "retain: 'long' is not a number of days"),
        ("retain = 0", "retain: must be greater than 0 and at most 36500 days, not 0"),
        ("port = 1.5", "port: '1.5' is not a port number"),
        ("dialect = 'klingon'", "dialect: invalid choice"),
        ("[storage]\ndb = 'x'", "'storage' is a table"),
        ("port = ", "nvalid value"),
        ("port = 1\nport = 2", "overwrite a value"),
    ],
)
def test_an_invalid_line_is_one_clear_line(
    file: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)

    code = main(["--config", str(file)])

    errors = capsys.readouterr().err
    assert code == 2
    assert errors.count("\n") == 1
    assert str(file) in errors
    assert says in errors


def test_a_file_that_is_not_text_is_one_clear_line(
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


def test_exec_reads_a_file_too_but_leaves_the_flags_of_its_command_alone(file: Path) -> None:
    assert for_exec(parsed(file, "db = 'tasks.db'", groups=FOR_EXEC)).path == "tasks.db"

    assert run("exec", "--", sys.executable, "-c", "", "--config", "none.toml").returncode == 0


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="auto, taskhub, dapr, not 'klingon'"):
        Server(dialect="klingon")
