"""Count what a sidecar does as Prometheus metrics; needs the extra `metrics`.

Every label has a few values, which the sidecar alone decides: kinds, outcomes, methods and
statuses. Names of task hubs, instances, orchestrations and activities come from users, so
none of them is a label.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    exposition,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from durabletask.protocol import messages
from durabletask.sidecar._version import __version__
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.commands import CompleteTurn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durabletask.sidecar.instrumentation import Completion, WorkStats

_OPENMETRICS = "application/openmetrics-text"
_OUTCOMES = ("completed", "failed", "abandoned", "lost")

# From the time of a commit in memory to more than callers wait for.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# The last is the largest batch that one transaction takes.
_SUBMISSIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class PrometheusInstrumentation:
    """Counts the reports of one sidecar in a registry of its own."""

    def __init__(self, stats: Callable[[], WorkStats]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_StatsCollector(stats))
        Info("durabletask_sidecar", "The running sidecar.", registry=self.registry).info(
            {"version": __version__}
        )
        self._work = Counter(
            "durabletask_work_items",
            "Work items that came back from workers.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        for kind in Kind:
            for outcome in _OUTCOMES:
                # Prometheus computes a rate only for a series that existed before its first event.
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
            "Time from the beginning of a call to its end, which for streams and waits is how "
            "long they lasted.",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def page(self, accept: str) -> tuple[bytes, str]:
        """The counts as text and its content type, for an HTTP client with this Accept header."""
        # Only the media type is passed on: the library fails on a malformed version.
        accepted = _OPENMETRICS if _OPENMETRICS in accept else ""
        write, content_type = exposition.choose_encoder(accepted)
        return write(self.registry), content_type

    def ticks(self) -> float:
        return time.perf_counter()

    def rpc_finished(self, method: str, status: str, started: float) -> None:
        self._rpcs.labels(method, status).inc()
        self._rpc_seconds.labels(method).observe(self.ticks() - started)

    def commit_finished(self, submissions: int, started: float) -> None:
        self._commit_seconds.observe(self.ticks() - started)
        self._submissions.observe(submissions)

    def commit_failed(self) -> None:
        self._failed_commits.inc()

    def work_completed(self, kind: str, completion: Completion) -> None:
        self._count(kind, "failed" if _is_failure(completion) else "completed")

    def work_abandoned(self, kind: str) -> None:
        self._count(kind, "abandoned")

    def work_lost(self, kind: str) -> None:
        self._count(kind, "lost")

    def _count(self, kind: str, outcome: str) -> None:
        self._work.labels(kind, outcome).inc()


def _is_failure(completion: Completion) -> bool:
    """Whether the work failed; a turn failed when the orchestration ended FAILED in it."""
    if isinstance(completion, CompleteTurn):
        return any(_fails(action) for action in completion.actions)
    return completion.failure is not None


def _fails(action: messages.OrchestratorAction) -> bool:
    ending = action.complete_orchestration
    return ending is not None and ending.orchestration_status is messages.OrchestrationStatus.FAILED


class _StatsCollector(Collector):
    """Reads gauges at the moment of a scrape."""

    def __init__(self, stats: Callable[[], WorkStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[GaugeMetricFamily]:
        stats = self._stats()
        waiting = GaugeMetricFamily(
            "durabletask_work_items_waiting",
            "Work items that are ready and that no worker has.",
            labels=("kind",),
        )
        leases = GaugeMetricFamily(
            "durabletask_leases", "Work items that a worker has.", labels=("kind",)
        )
        for kind in Kind:
            waiting.add_metric((kind.value,), stats.waiting.get(kind.value, 0))
            leases.add_metric((kind.value,), stats.leased.get(kind.value, 0))
        yield waiting
        yield leases
        yield GaugeMetricFamily("durabletask_streams", "Connected workers.", value=stats.streams)
