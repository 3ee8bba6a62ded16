"""The option for what peers are taken for that do not show whose SDK they use.

Knows nothing about what the dialects are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol")
    group.add_argument(
        "--dialect",
        choices=("auto", "taskhub", "dapr"),
        default="auto",
        help="what workers and clients are taken for that do not show whose SDK they use: "
        "taskhub for Microsoft's, dapr for Dapr's; auto takes them for Microsoft's until they "
        "show Dapr's (default: %(default)s)",
    )


def read(options: argparse.Namespace) -> str:
    name: str = options.dialect
    return name
