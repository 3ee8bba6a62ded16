"""`durabletask-sidecar [serve]`: serve until SIGTERM or SIGINT, then drain.

Knows nothing about what the options mean: their groups do.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from durabletask.sidecar._version import __version__
from durabletask.sidecar.server import Server

from . import config
from .options import FOR_SERVE, dialect, network, operations, storage

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """\
examples:
  durabletask-sidecar                        serve port 4001, forget everything at the end
  durabletask-sidecar --db tasks.db          keep everything in a file
  durabletask-sidecar --port 0               pick a free port and print it
  durabletask-sidecar --config sidecar.toml  take options from a file
  durabletask-sidecar exec -- python app.py  serve while app.py runs

see also: durabletask-sidecar exec --help
"""


def run(arguments: Sequence[str]) -> int:
    """Serve until told to stop; the exit code."""
    options = config.parse(_parser(), FOR_SERVE, arguments)
    asyncio.run(_serve_until_told(_server(options)))
    return 0


def _server(options: argparse.Namespace) -> Server:
    stored, listening = storage.read(options), network.read(options)
    operated = operations.read(options)
    return Server(
        stored.path,
        listening.host,
        listening.port,
        synchronous=stored.synchronous,
        dialect=dialect.read(options),
        metrics=operated.metrics,
    )


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar",
        usage="%(prog)s [options]\n       %(prog)s exec [options] -- COMMAND…",
        description="A Durable Task engine: workers and clients connect to it over gRPC.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser
