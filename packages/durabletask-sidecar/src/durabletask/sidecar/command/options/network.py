"""Options for where to listen.

Knows nothing about sockets.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from durabletask.sidecar.network.listening import LAST_PORT


@dataclass(frozen=True, slots=True)
class Network:
    """Where to listen."""

    host: str
    port: int


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    group.add_argument(
        "--port", type=port, default=4001, help="port; 0 picks a free one (default: %(default)s)"
    )


def read(options: argparse.Namespace) -> Network:
    return Network(options.host, options.port)


def port(text: str) -> int:
    """Read the number of a port."""
    number = int(text)
    if not 0 <= number <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{number} is not between 0 and {LAST_PORT}")
    return number
