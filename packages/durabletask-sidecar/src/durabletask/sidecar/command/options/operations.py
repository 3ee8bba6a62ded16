"""Options for whoever operates the sidecar.

Knows nothing about how metrics are made.
"""

from __future__ import annotations

import argparse
import math
from contextlib import suppress
from dataclasses import dataclass

from durabletask.sidecar.operations.metrics import Metrics

from .network import port


@dataclass(frozen=True, slots=True)
class Operations:
    """How the sidecar is watched."""

    metrics: Metrics | None
    drain_seconds: float


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
    group.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="on SIGTERM and SIGINT, hand out no more work and wait so long for workers to "
        "complete what they have; a second signal ends at once (default: %(default)g)",
    )


def read(options: argparse.Namespace) -> Operations:
    port, host = options.metrics_port, options.metrics_host
    return Operations(None if port is None else Metrics(port, host), options.drain_seconds)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
