"""Where metrics are published, and what counts them.

Does not import prometheus_client before metrics are published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.instrumentation import WorkStats

    from .prometheus import PrometheusInstrumentation


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where to publish metrics; port 0 picks a free one."""

    port: int
    host: str = "127.0.0.1"


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the text names the extra that brings it."""


def make_instrumentation(stats: Callable[[], WorkStats]) -> PrometheusInstrumentation:
    """Instrumentation that counts, and reads gauges from `stats`; or raise MissingExtraError."""
    try:
        from .prometheus import PrometheusInstrumentation
    except ImportError as error:
        raise MissingExtraError(
            "metrics need prometheus-client: pip install 'durabletask-sidecar[metrics]'"
        ) from error
    return PrometheusInstrumentation(stats)
