"""Options for where everything is kept.

Knows nothing about files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True, slots=True)
class Storage:
    """Where everything is kept, and how safely."""

    path: str | None
    """None keeps it in memory only."""
    synchronous: str


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("storage")
    group.add_argument(
        "--db", metavar="FILE", help="keep everything in this file (default: in memory only)"
    )
    group.add_argument(
        "--synchronous",
        choices=("full", "normal"),
        default="full",
        help="full: an acknowledged change survives a power cut; normal: it survives a crash "
        "of the sidecar, and is somewhat faster (default: %(default)s)",
    )


def read(options: argparse.Namespace) -> Storage:
    return Storage(options.db, options.synchronous)
