"""Options for what the sidecar writes about its work, and how.

Knows nothing about how lines are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.sidecar.operations.logs import FORMATS, LEVELS, LogOptions

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("logs")
    group.add_argument(
        "--log-level",
        choices=LEVELS,
        default=LogOptions().level,
        help="write to standard error what matters at least so much (default: %(default)s)",
    )
    group.add_argument(
        "--log-format",
        choices=FORMATS,
        default=LogOptions().format,
        help="text for people, json for machines: one object a line (default: %(default)s)",
    )


def read(options: argparse.Namespace) -> LogOptions:
    return LogOptions(options.log_level, options.log_format)
