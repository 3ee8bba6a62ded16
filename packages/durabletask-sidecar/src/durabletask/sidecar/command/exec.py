"""`durabletask-sidecar exec`: serve just as long as another command runs.

Knows nothing about what the options mean: their groups do.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from durabletask.sidecar.embed import Sidecar
from durabletask.sidecar.operations.logs import configure

from . import config
from .options import FOR_EXEC, dialect, limits, logs, retention, storage

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND_NOT_FOUND = 127  # what shells return

_EPILOG = """\
examples:
  durabletask-sidecar exec -- python app.py
  durabletask-sidecar exec --db tasks.db -- pytest -q
"""


def run(arguments: Sequence[str]) -> int:
    """Run the command beside a sidecar; the command's exit code."""
    parser = _parser()
    options = config.parse(parser, FOR_EXEC, arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("name the command to run, as in: durabletask-sidecar exec -- python app.py")
    configure(logs.read(options), sys.stderr)
    with _sidecar(options) as address:
        return _run(command, address)


def _sidecar(options: argparse.Namespace) -> Sidecar:
    stored = storage.read(options)
    return Sidecar(
        stored.path,
        synchronous=stored.synchronous,
        retention=retention.read(options),
        dialect=dialect.read(options),
        limits=limits.read(options),
    )


def _run(command: list[str], address: str) -> int:
    """Run a command that finds the sidecar, and return its exit code as a shell would."""
    try:
        process = subprocess.Popen(  # noqa: S603 - what the user asked for
            command, env={**os.environ, "DURABLETASK_ENDPOINT": address}
        )
    except OSError as error:
        print(f"durabletask-sidecar: cannot run {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return _COMMAND_NOT_FOUND
    # A terminal sends SIGINT to the command too, which decides by itself when to end.
    # SIGTERM comes to us alone. Handlers, unlike SIG_IGN, are not inherited.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar exec",
        usage="%(prog)s [options] -- COMMAND…",
        description="Start a sidecar on a free port, run COMMAND with DURABLETASK_ENDPOINT "
        "set to its address, stop it, and return COMMAND's exit code.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run")
    return parser
