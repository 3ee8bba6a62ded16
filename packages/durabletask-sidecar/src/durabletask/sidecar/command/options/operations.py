"""Options for whoever operates the sidecar.

Knows nothing about how metrics are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.sidecar.metrics import Metrics

from .network import port

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True, slots=True)
class Operations:
    """How the sidecar is watched."""

    metrics: Metrics | None


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("operations")
    group.add_argument(
        "--metrics-port",
        type=port,
        metavar="PORT",
        help="publish metrics for Prometheus at http://HOST:PORT/metrics; needs "
        "durabletask-sidecar[metrics] (default: do not)",
    )
    group.add_argument(
        "--metrics-host",
        default="127.0.0.1",
        metavar="HOST",
        help="address to publish metrics on (default: %(default)s)",
    )


def read(options: argparse.Namespace) -> Operations:
    if options.metrics_port is None:
        return Operations(None)
    return Operations(Metrics(options.metrics_port, options.metrics_host))
