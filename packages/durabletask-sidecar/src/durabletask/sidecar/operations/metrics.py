"""Publish metrics of one sidecar, for Prometheus to scrape.

Knows nothing about which metrics there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .metrics_endpoint import Scrapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.sidecar.instrumentation import Census, Observer


_OPENMETRICS = "application/openmetrics-text"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where to publish metrics; port 0 picks a free one."""

    port: int
    host: str = "127.0.0.1"


class MissingExtraError(ImportError):
    """A library is missing that only some installations have; the text names the extra."""


class Meter:
    """What counts, and the page where the counts are read."""

    observer: Observer

    def __init__(self, metrics: Metrics, census: Callable[[], Census]) -> None:
        try:
            from prometheus_client import exposition

            from .prometheus import Prometheus
        except ImportError as error:
            raise MissingExtraError(
                "metrics need prometheus-client: pip install 'durabletask-sidecar[metrics]'"
            ) from error
        self.observer = counts = Prometheus(census)

        def page(accept: str) -> tuple[bytes, str]:
            # In words of ours: the library fails on versions that are none.
            wished = _OPENMETRICS if _OPENMETRICS in accept else ""
            write, content_type = exposition.choose_encoder(wished)
            return write(counts.registry), content_type

        self._scrapes = Scrapes(metrics.host, metrics.port, page)

    @property
    def address(self) -> str:
        """Where the metrics are, as `host:port`."""
        return self._scrapes.address

    async def start(self) -> None:
        """Publish, or raise OSError."""
        await self._scrapes.start()

    async def stop(self) -> None:
        await self._scrapes.stop()
