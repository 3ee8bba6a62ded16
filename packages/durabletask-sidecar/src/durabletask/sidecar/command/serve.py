"""`durabletask-sidecar [serve]`: serve until SIGTERM or SIGINT, then drain.

Knows nothing about what the options mean: their groups do.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from durabletask.sidecar._version import __version__
from durabletask.sidecar.operations.logs import configure
from durabletask.sidecar.server import Server

from . import config
from .options import (
    FOR_SERVE,
    dialect,
    limits,
    logs,
    network,
    operations,
    retention,
    security,
    storage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_EPILOG = """\
examples:
  durabletask-sidecar                        serve port 4001, forget everything at the end
  durabletask-sidecar --db tasks.db          keep everything in a file
  durabletask-sidecar --port 0               pick a free port and print it
  durabletask-sidecar --config sidecar.toml  take options from a file
  durabletask-sidecar exec -- python app.py  serve while app.py runs

see also: durabletask-sidecar exec, backup, check, each with --help
"""


def run(arguments: Sequence[str]) -> int:
    """Serve until told to stop; the exit code."""
    options = config.parse(_parser(), FOR_SERVE, arguments)
    configure(logs.read(options), sys.stderr)
    asyncio.run(_serve_until_told(_server(options), operations.read(options).drain_seconds))
    return 0


def _server(options: argparse.Namespace) -> Server:
    stored, listening = storage.read(options), network.read(options)
    return Server(
        stored.path,
        listening.host,
        listening.port,
        synchronous=stored.synchronous,
        dialect=dialect.read(options),
        limits=limits.read(options),
        metrics=operations.read(options).metrics,
        security=security.read(options),
        retention=retention.read(options),
    )


async def _serve_until_told(server: Server, drain_seconds: float) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in _SIGNALS:
        loop.add_signal_handler(signum, told.set)
    await server.start()
    print(_greeting(server), flush=True)  # noqa: T201 - scripts wait for this line
    await told.wait()
    for signum in _SIGNALS:
        # Whoever sends a second one has waited long enough, and the file is always in order.
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
        description="A Durable Task engine: workers and clients connect to it over gRPC.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser
