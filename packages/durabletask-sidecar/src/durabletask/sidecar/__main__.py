"""The command `durabletask-sidecar`.

Serves until SIGTERM or SIGINT, then drains; or serves just as long as another command
runs. What keeps it from starting is told in one line, with exit code 2.

Knows nothing about the engine: it reads arguments and runs a `Server`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from ._version import __version__
from .embed import Sidecar
from .listening import LAST_PORT
from .server import Server
from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

_CANNOT_START = 2
_COMMAND_NOT_FOUND = 127  # what shells return

_EPILOG = """\
examples:
  durabletask-sidecar                        serve port 4001, forget everything at the end
  durabletask-sidecar --db tasks.db          keep everything in a file
  durabletask-sidecar --port 0               pick a free port and print it
  durabletask-sidecar exec -- python app.py  serve while app.py runs

see also: durabletask-sidecar exec --help
"""

_EXEC_EPILOG = """\
examples:
  durabletask-sidecar exec -- python app.py
  durabletask-sidecar exec --db tasks.db -- pytest -q
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["exec"]:
            return _exec(arguments[1:])
        return _serve(arguments)
    except (StoreError, OSError) as error:
        print(f"durabletask-sidecar: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return _CANNOT_START


def _serve(arguments: list[str]) -> int:
    options = _serve_parser().parse_args(arguments)
    server = Server(
        options.db,
        options.host,
        options.port,
        synchronous=options.synchronous,
        dialect=options.dialect,
    )
    asyncio.run(_serve_until_told(server))
    return 0


async def _serve_until_told(server: Server) -> None:
    told = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, told.set)
    await server.start()
    line = (
        f"durabletask-sidecar {__version__} listens on {server.address}, storage: {server.storage}"
    )
    print(line, flush=True)  # noqa: T201 - scripts wait for this line
    await told.wait()
    await server.stop()


def _exec(arguments: list[str]) -> int:
    parser = _exec_parser()
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("name the command to run, as in: durabletask-sidecar exec -- python app.py")
    sidecar = Sidecar(options.db, synchronous=options.synchronous, dialect=options.dialect)
    with sidecar as address:
        return _run(command, address)


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


def _serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar",
        usage="%(prog)s [options]\n       %(prog)s exec [options] -- COMMAND…",
        description="A Durable Task engine: workers and clients connect to it over gRPC.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=_port, default=4001, help="port; 0 picks a free one (default: %(default)s)"
    )
    _add_storage(parser)
    _add_dialect(parser)
    return parser


def _exec_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar exec",
        usage="%(prog)s [options] -- COMMAND…",
        description="Start a sidecar on a free port, run COMMAND with DURABLETASK_ENDPOINT "
        "set to its address, stop it, and return COMMAND's exit code.",
        epilog=_EXEC_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_storage(parser)
    _add_dialect(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{port} is not between 0 and {LAST_PORT}")
    return port


def _add_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--db", metavar="FILE", help="keep everything in this file (default: in memory only)"
    )
    parser.add_argument(
        "--synchronous",
        choices=("full", "normal"),
        default="full",
        help="full: an acknowledged change survives a power cut; normal: it survives a crash "
        "of the sidecar, and is somewhat faster (default: %(default)s)",
    )


def _add_dialect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dialect",
        choices=("auto", "taskhub", "dapr"),
        default="auto",
        help="what workers and clients are taken for that do not show whose SDK they use: "
        "taskhub for Microsoft's, dapr for Dapr's; auto takes them for Microsoft's until they "
        "show Dapr's (default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main())
