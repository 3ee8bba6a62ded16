"""Count what one sidecar does, in the text form that Prometheus reads.

Does not import prometheus_client before metrics are published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.instrumentation import Instrumentation, WorkStats

_OPENMETRICS = "application/openmetrics-text"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where to publish metrics; port 0 picks a free one."""

    port: int
    host: str = "127.0.0.1"


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the text names the extra that brings it."""


class Meter:
    """Counts what a sidecar does, and writes the counts as a page."""

    instrumentation: Instrumentation
    """Where the sidecar reports to."""

    def __init__(self, stats: Callable[[], WorkStats]) -> None:
        try:
            from prometheus_client import exposition

            from .prometheus import PrometheusInstrumentation
        except ImportError as error:
            raise MissingExtraError(
                "metrics need prometheus-client: pip install 'durabletask-sidecar[metrics]'"
            ) from error
        self.instrumentation = self._counts = PrometheusInstrumentation(stats)
        self._choose_encoder = exposition.choose_encoder

    def page(self, accept: str) -> tuple[bytes, str]:
        """The counts and their content type, for a client that accepts this content."""
        # Only the media type is passed on: the library fails on a malformed version.
        accepted = _OPENMETRICS if _OPENMETRICS in accept else ""
        write, content_type = self._choose_encoder(accepted)
        return write(self._counts.registry), content_type
