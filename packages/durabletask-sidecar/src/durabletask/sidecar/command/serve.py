"""`durabletask-sidecar [serve]`: serve until SIGTERM or SIGINT, then drain and stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from durabletask.sidecar._version import __version__
from durabletask.sidecar.operations.logs import configure
from durabletask.sidecar.server import Server

from . import config, options

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_EPILOG = """\
examples:
  durabletask-sidecar                        serve on port 4001 and keep everything in memory
  durabletask-sidecar --db tasks.db          keep everything in a file
  durabletask-sidecar --port 0               pick a free port and print it
  durabletask-sidecar --config sidecar.toml  read options from a file
  durabletask-sidecar exec -- python app.py  serve while app.py runs

other commands, each with its own --help:
  durabletask-sidecar exec      serve for as long as another command runs
  durabletask-sidecar backup    copy the file of a sidecar, even while it is in use
  durabletask-sidecar check     check the file of a sidecar for damage
"""


def run(arguments: Sequence[str]) -> int:
    """Serve until a signal comes; return the exit code."""
    given = config.parse(_parser(), options.FOR_SERVE, arguments)
    configure(options.for_logs(given), sys.stderr)
    server = Server.from_options(options.for_serve(given))
    asyncio.run(_serve_until_signal(server, given.drain_seconds))
    return 0


async def _serve_until_signal(server: Server, drain_seconds: float) -> None:
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in _SIGNALS:
        loop.add_signal_handler(signum, signalled.set)
    await server.start()
    print(_greeting(server), flush=True)  # noqa: T201 - scripts wait for this line
    await signalled.wait()
    for signum in _SIGNALS:
        # A second signal ends the process at once; the file is consistent at any moment.
        loop.remove_signal_handler(signum)
        signal.signal(signum, signal.SIG_DFL)
    await server.drain(drain_seconds)
    await server.stop()


def _greeting(server: Server) -> str:
    line = f"durabletask-sidecar {__version__} listens on {server.address}"
    line += f", storage: {server.storage}"
    if server.metrics_address is not None:
        line += f", metrics: http://{server.metrics_address}/metrics"
    return line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar",
        usage="%(prog)s [serve] [options]\n       %(prog)s exec [options] -- COMMAND…\n"
        "       %(prog)s backup --db FILE TARGET\n       %(prog)s check FILE",
        description="Run a Durable Task engine, to which workers and clients connect over gRPC.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser
