"""The command `durabletask-sidecar`, run as users run it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar import __main__ as command
from tests.builders.command import PATIENCE, SIDECAR, address_in, run, running
from tests.builders.sidecar import connected, serving

if TYPE_CHECKING:
    from pathlib import Path


async def test_it_prints_its_address_and_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    with running("--port", "0", "--db", str(path)) as (_, line):
        async with connected(address_in(line)) as peer:
            assert await peer.start() == "a"

    assert str(path) in line


async def test_without_a_file_it_prints_that_it_keeps_everything_in_memory() -> None:
    with running("--port", "0") as (_, line):
        assert "memory" in line


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_stops_it(signum: signal.Signals) -> None:
    with running("--port", "0", "--drain-seconds", "0") as (process, line):
        async with connected(address_in(line)) as peer:
            await peer.start()
            items = peer.work()
            await items.next()
            waiting = await peer.begin(
                methods.WAIT_FOR_INSTANCE_COMPLETION, messages.GetInstanceRequest(instance_id="a")
            )

            process.send_signal(signum)

            assert await items.next() is None
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await waiting
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        ended = run("--port", str(port), "--db", str(tmp_path / "tasks.db"))

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE books (title)")
    connection.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"certainly not a database" * 100)


def folder(path: Path) -> None:
    path.mkdir()


def newer(path: Path) -> None:
    with running("--port", "0", "--db", str(path)) as (process, _):
        process.terminate()
        process.wait(PATIENCE)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


@pytest.mark.parametrize("make", [foreign, garbage, folder, newer], ids=lambda make: make.__name__)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path, make) -> None:
    path = tmp_path / "tasks.db"
    make(path)

    ended = run("--port", "0", "--db", str(path))

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert str(path) in ended.stderr


@pytest.mark.parametrize("path", ["", "/"])
def test_a_path_that_cannot_name_a_file_is_one_clear_line(path: str) -> None:
    ended = run("--port", "0", "--db", path)

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "not the name of a file" in ended.stderr


def test_a_host_that_does_not_exist_is_one_clear_line() -> None:
    ended = run("--port", "0", "--host", "nosuch.invalid")

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "nosuch.invalid" in ended.stderr


async def test_a_file_with_pages_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    async with serving(path) as peer:
        for number in range(200):
            await peer.start(instance_id=str(number), input="x" * 200)
    content = bytearray(path.read_bytes())
    schema = 4 * 4096
    content[schema:] = b"\xff" * (len(content) - schema)
    path.write_bytes(content)

    ended = run("--port", "0", "--db", str(path))

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


def test_a_folder_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "tasks.db"

    ended = run("--port", "0", "--db", str(path))

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert str(path) in ended.stderr


def test_a_file_of_another_sidecar_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    with running("--port", "0", "--db", str(path)):
        ended = run("--port", "0", "--db", str(path))

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert str(path) in ended.stderr


def test_a_killed_sidecar_leaves_a_file_that_can_be_used(tmp_path: Path) -> None:
    path = str(tmp_path / "tasks.db")
    with running("--port", "0", "--db", path) as (process, _):
        process.kill()
        process.wait(PATIENCE)

    with running("--port", "0", "--db", path) as (_, line):
        assert address_in(line)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "65536"],
        ["--port", "-1"],
        ["--nonsense"],
        ["--dialect", "klingon"],
        ["--drain-seconds", "-1"],
        ["--drain-seconds", "nan"],
        ["--log-level", "loud"],
        ["--log-format", "xml"],
        ["--metrics-port", "x"],
        ["exec"],
        ["exec", "--"],
    ],
    ids=" ".join,
)
def test_invalid_arguments_exit_with_code_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--version"]])
def test_it_prints_its_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 0
    assert re.fullmatch(r"durabletask-sidecar \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [["--help"], ["exec", "--help"]])
def test_its_help_shows_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "durabletask-sidecar exec -- python app.py" in text
    assert "--db" in text


def test_exec_runs_a_command_that_finds_the_sidecar() -> None:
    program = (
        "import os, socket\n"
        "host, port = os.environ['DURABLETASK_ENDPOINT'].split(':')\n"
        "socket.create_connection((host, int(port))).close()\n"
        "print('connected')"
    )

    ended = run("exec", "--", sys.executable, "-c", program)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "connected\n", "")


def test_exec_returns_the_exit_code_of_its_command() -> None:
    assert run("exec", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_exec_returns_what_a_shell_would_for_a_command_that_was_killed() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    assert run("exec", "--", sys.executable, "-c", program).returncode == 128 + signal.SIGKILL


def test_exec_keeps_what_its_command_did_in_a_file(tmp_path: Path) -> None:
    ended = run("exec", "--db", "tasks.db", "--", sys.executable, "-c", "", cwd=tmp_path)

    assert ended.returncode == 0
    assert (tmp_path / "tasks.db").exists()


def test_exec_says_which_command_it_cannot_find() -> None:
    ended = run("exec", "--", "no-such-command")

    assert ended.returncode == 127
    assert "no-such-command" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_exec_passes_options_of_its_command_on() -> None:
    program = "import sys; print(sys.argv[1:])"

    ended = run("exec", "--", sys.executable, "-c", program, "--db", "x", "--", "y")

    assert ended.stdout == "['--db', 'x', '--', 'y']\n"


def test_exec_passes_a_termination_on_to_its_command() -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    with running("exec", "--", sys.executable, "-c", program) as (process, line):
        assert line == "ready\n"

        process.terminate()

        assert process.wait(PATIENCE) == 5


# Runs `exec` with a signal that arrives after its command has started and before Popen returns.
INTERRUPTED_START = """
import os, signal, subprocess, sys
from durabletask.sidecar.__main__ import main

class Popen(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        os.kill(os.getpid(), signal.{signum})

subprocess.Popen = Popen
sys.exit(main(["exec", "--", sys.executable, "-c", "{program}"]))
"""


@pytest.mark.parametrize(
    ("signum", "program", "code"),
    [
        ("SIGTERM", "import time; time.sleep(20)", 128 + signal.SIGTERM),
        ("SIGINT", "raise SystemExit(6)", 6),
    ],
    ids=["SIGTERM", "SIGINT"],
)
def test_exec_loses_no_signal_while_its_command_starts(
    signum: str, program: str, code: int
) -> None:
    started = INTERRUPTED_START.format(signum=signum, program=program)

    ended = subprocess.run(
        [sys.executable, "-c", started],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == code


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_exec_lets_its_command_decide_what_an_interrupt_means() -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(6))\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    process = subprocess.Popen(
        [*SIDECAR, "exec", "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        os.killpg(process.pid, signal.SIGINT)

        assert process.wait(PATIENCE) == 6
