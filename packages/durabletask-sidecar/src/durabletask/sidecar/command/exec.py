"""`durabletask-sidecar exec`: serve for as long as another command runs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from durabletask.sidecar.embed import Sidecar
from durabletask.sidecar.operations.logs import configure

from . import config, options

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND_NOT_FOUND = 127  # as shells return

_DESCRIPTION = """\
Start a sidecar on a free port and run COMMAND, with the sidecar's address in the environment
variable DURABLETASK_ENDPOINT. When COMMAND ends, stop the sidecar and exit with COMMAND's
exit code.
"""

_EPILOG = """\
examples:
  durabletask-sidecar exec -- python app.py
  durabletask-sidecar exec --db tasks.db -- pytest -q
"""


def run(arguments: Sequence[str]) -> int:
    """Run the command beside a sidecar; return the command's exit code."""
    parser = _parser()
    given = config.parse(parser, options.FOR_EXEC, arguments)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser.error("COMMAND is missing, as in: durabletask-sidecar exec -- python app.py")
    configure(options.for_logs(given), sys.stderr)
    with Sidecar.from_options(options.for_exec(given)) as address:
        return _run(command, address)


def _run(command: list[str], address: str) -> int:
    """Run a command that finds the sidecar, and return its exit code as a shell would."""
    termination = _Termination()
    # A terminal sends SIGINT to the command as well, which decides itself what it means;
    # SIGTERM reaches only this process. Handlers are not inherited by the command, and they
    # are set before it starts, so that no signal ends this process and leaves the command.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: termination.request())
    try:
        process = subprocess.Popen(  # noqa: S603 - the user asks for this command
            command, env={**os.environ, "DURABLETASK_ENDPOINT": address}
        )
    except OSError as error:
        print(f"durabletask-sidecar: cannot run {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return _COMMAND_NOT_FOUND
    termination.send_to(process)
    code = process.wait()
    return code if code >= 0 else 128 - code


class _Termination:
    """Passes each SIGTERM on to a process; one that comes before the process is kept for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_requested = False

    def request(self) -> None:
        if self._process is None:
            self._is_requested = True
        else:
            self._process.terminate()

    def send_to(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        if self._is_requested:
            process.terminate()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar exec",
        usage="%(prog)s [options] -- COMMAND…",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command to run"
    )
    return parser
