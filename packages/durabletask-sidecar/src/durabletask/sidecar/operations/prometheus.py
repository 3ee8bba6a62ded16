"""Keep what happens as Prometheus metrics.

Every label has few values, which the sidecar alone decides: kinds, outcomes, methods and
statuses. Names of task hubs, instances, orchestrations and activities are anybody's to make
up, so none of them is a label.

Needs the extra `metrics`. Knows nothing about HTTP.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from durabletask.sidecar._version import __version__
from durabletask.sidecar.commit.notifications import Kind

from .outcomes import is_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durabletask.sidecar.instrumentation import Census, Completion

_OUTCOMES = ("completed", "failed", "abandoned", "lost")

# From what a commit in memory takes to what no caller waits for any more.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# The last is the largest batch that one transaction takes.
_SUBMISSIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Prometheus:
    """An observer whose counts can be scraped, of one sidecar."""

    def __init__(self, census: Callable[[], Census]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_CensusTaker(census))
        Info("durabletask_sidecar", "Which sidecar this is.", registry=self.registry).info(
            {"version": __version__}
        )
        self._work = Counter(
            "durabletask_work_items",
            "Work that came back from workers.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        for kind in Kind:
            for outcome in _OUTCOMES:
                # A rate can only be taken of a series that was there before its first event.
                self._work.labels(kind.value, outcome)
        self._commit_seconds = Histogram(
            "durabletask_commit_seconds",
            "Time to carry out and store one transaction.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._submissions = Histogram(
            "durabletask_commit_submissions",
            "Changes that one transaction stored.",
            buckets=_SUBMISSIONS,
            registry=self.registry,
        )
        self._failed_commits = Counter(
            "durabletask_failed_commits",
            "Transactions that could not be stored.",
            registry=self.registry,
        )
        self._rpcs = Counter(
            "durabletask_rpcs", "Calls that ended.", ("method", "status"), registry=self.registry
        )
        self._rpc_seconds = Histogram(
            "durabletask_rpc_seconds",
            "Time from a call to its end; for streams and waits, how long they lasted.",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def ticks(self) -> float:
        return time.perf_counter()

    def answered(self, method: str, status: str, since: float) -> None:
        self._rpcs.labels(method, status).inc()
        self._rpc_seconds.labels(method).observe(self.ticks() - since)

    def committed(self, submissions: int, since: float) -> None:
        self._commit_seconds.observe(self.ticks() - since)
        self._submissions.observe(submissions)

    def commit_failed(self) -> None:
        self._failed_commits.inc()

    def completed(self, kind: Kind, completion: Completion) -> None:
        self._came_back(kind, "failed" if is_failure(completion) else "completed")

    def abandoned(self, kind: Kind) -> None:
        self._came_back(kind, "abandoned")

    def lost(self, kind: Kind) -> None:
        self._came_back(kind, "lost")

    def _came_back(self, kind: Kind, outcome: str) -> None:
        self._work.labels(kind.value, outcome).inc()


class _CensusTaker(Collector):
    """Counts at the moment of a scrape what nobody needs to count in between."""

    def __init__(self, census: Callable[[], Census]) -> None:
        self._census = census

    def collect(self) -> Iterator[GaugeMetricFamily]:
        census = self._census()
        waiting = GaugeMetricFamily(
            "durabletask_work_items_waiting",
            "Work that is ready and waits for a worker.",
            labels=("kind",),
        )
        leases = GaugeMetricFamily(
            "durabletask_leases", "Work that a worker has.", labels=("kind",)
        )
        for kind in Kind:
            waiting.add_metric((kind.value,), census.waiting.get(kind, 0))
            leases.add_metric((kind.value,), census.out.get(kind, 0))
        yield waiting
        yield leases
        yield GaugeMetricFamily(
            "durabletask_streams", "Workers that are connected.", value=census.streams
        )
