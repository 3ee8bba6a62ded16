"""What speed is promised: lines to reach (must) and lines to go for (aim), computed from results.

Ratios are of medians of one run. Ours commits with `synchronous=full` unless a line says normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.bench._workloads import DBOS, IN_PROCESS, OFFICIAL, OFFICIAL_ON_OURS, SLOW_FLUSH, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.bench._results import Results

NORMAL = "in-process-normal"
TWO_PROCESSES = "two-processes"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the checklist; `at_most` says that less is better."""

    text: str
    measure: Callable[[Results], float | None]
    must: float
    aim: float | None = None
    at_most: bool = False
    unit: str = "x"

    def bound(self, value: float | None) -> str:
        if value is None:
            return ""
        return f"{'≤' if self.at_most else '≥'} {value:g} {self.unit}"

    def verdict(self, measured: float | None) -> str:
        if measured is None:
            return "not measured"
        if not self._reaches(measured, self.must):
            return "missed"
        return "aim" if self.aim is not None and self._reaches(measured, self.aim) else "met"

    def _reaches(self, measured: float, line: float) -> bool:
        return measured <= line if self.at_most else measured >= line


def _against(
    name: str, side: str, peer: str, must: float, aim: float | None = None, *, at_most: bool = False
) -> Goal:
    (workload,) = select([name])
    return Goal(
        f"{name}, {side}",
        lambda results: results.ratio(workload, side, peer),
        must,
        aim,
        at_most,
    )


def _growth(side: str) -> Goal:
    short, long = select(["chain-100", "chain-1000"])

    def measure(results: Results) -> float | None:
        rates = results.value(short, side), results.value(long, side)
        return rates[0] / rates[1] if rates[0] and rates[1] else None

    return Goal(f"time per activity, chain-1000 to chain-100, {side}", measure, 1.2, at_most=True)


def _lateness() -> Goal:
    (timers,) = select(["timers"])
    return Goal(
        "1,000 sleeps of a second: lateness p99, in-process",
        lambda results: results.value(timers, IN_PROCESS, 1),
        50,
        at_most=True,
        unit="ms",
    )


def _embedding(name: str, *, at_most: bool = False) -> Goal:
    least = 0.95
    must = round(1 / least, 2) if at_most else least
    return _against(name, IN_PROCESS, TWO_PROCESSES, must, at_most=at_most)


GOALS: dict[str, tuple[Goal, ...]] = {
    "In process, against the official SDK": (
        _against("chain-1000", IN_PROCESS, OFFICIAL, 15, 25),
        _against("chain-1000", NORMAL, OFFICIAL, 25, 45),
        _against("fan-1000", IN_PROCESS, OFFICIAL, 4, 6),
        _against("throughput-1000", IN_PROCESS, OFFICIAL, 5, 8),
        _against("latency-100", IN_PROCESS, OFFICIAL, 0.35, 0.2, at_most=True),
        _against("events-1000", IN_PROCESS, OFFICIAL, 1.5, 2.5),
        _against("entity-1000", IN_PROCESS, OFFICIAL, 1.5, 2.5),
    ),
    "Two processes, against the official SDK": (
        _against("chain-1000", TWO_PROCESSES, OFFICIAL, 8, 14),
        _against("fan-1000", TWO_PROCESSES, OFFICIAL, 2.5, 6),
        _against("throughput-1000", TWO_PROCESSES, OFFICIAL, 2, 4),
        _against("latency-100", TWO_PROCESSES, OFFICIAL, 0.8, 0.5, at_most=True),
        _against("events-1000", TWO_PROCESSES, OFFICIAL, 0.6, 1),
        _against("entity-1000", TWO_PROCESSES, OFFICIAL, 0.6, 1),
    ),
    "Against DBOS": (
        _against("chain-1000", NORMAL, DBOS, 1.5, 2.5),
        _against("chain-1000", IN_PROCESS, DBOS, 0.9, 1.5),
        _against("fan-1000", IN_PROCESS, DBOS, 8),
        _against("throughput-1000", IN_PROCESS, DBOS, 5),
        _against("latency-100", IN_PROCESS, DBOS, 0.5, at_most=True),
        _against("fan-1000", TWO_PROCESSES, DBOS, 1),
        _against("throughput-1000", TWO_PROCESSES, DBOS, 1),
    ),
    "Long chains": (_growth(IN_PROCESS), _growth(TWO_PROCESSES)),
    "In process, against our sidecar in a process of its own": (
        _embedding("chain-10"),
        _embedding("chain-100"),
        _embedding("chain-1000"),
        _embedding("throughput-200"),
        _embedding("throughput-1000"),
        _embedding("latency-100", at_most=True),
        _embedding("events-1000"),
        _embedding("entity-1000"),
    ),
    "5 ms slept inside every COMMIT, against none": (
        _against("slow-flush-1000", SLOW_FLUSH, IN_PROCESS, 0.5),
    ),
    "Timers": (_lateness(),),
    "Import, over a bare interpreter, against the official SDK": (
        _against("import-client-20", IN_PROCESS, OFFICIAL, 1, at_most=True),
        _against("import-worker-20", IN_PROCESS, OFFICIAL, 1, at_most=True),
    ),
    "The official worker on our sidecar, against its own backend": (
        _against("official-worker-throughput-1000", OFFICIAL_ON_OURS, OFFICIAL, 0.95),
        _against("official-worker-fan-1000", OFFICIAL_ON_OURS, OFFICIAL, 0.95),
    ),
}
