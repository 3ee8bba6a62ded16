"""The workloads by name, such as chain-1000: what is done, and which figures come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tools.bench._results import Measurement

_MS = 1000
_KIB = 1024

IN_PROCESS = "in-process"
OFFICIAL = "official"
DBOS = "dbos"
OFFICIAL_ON_OURS = "official-on-ours"
SLOW_FLUSH = "in-process-slow-flush"


class Job(Enum):
    """What kind of program a workload needs."""

    LOAD = "load"
    """A worker and a client on an engine."""
    REPLAY = "replay"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a measurement, and its unit."""

    title: str
    value: Callable[[Measurement], float]


@dataclass(frozen=True, slots=True)
class Family:
    """Workloads that differ in size only.

    Each side has a program for its `job`, which is given the `verb` and the size; `unit` is what
    is counted. Only the `sides` run it, or all that can, if there are none; `rounds` is how many
    there are, and `options` are given to the program.
    """

    name: str
    what: str
    unit: str
    sizes: tuple[int, ...]
    figures: tuple[Figure, ...]
    verb: str
    job: Job = Job.LOAD
    sides: tuple[str, ...] = ()
    rounds: int = 3
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    family: Family
    size: int

    @property
    def name(self) -> str:
        return f"{self.family.name}-{self.size}"

    def scaled(self, divisor: int) -> Workload:
        """The same, smaller: to see that it works."""
        return Workload(self.family, min(self.size, max(self.size // divisor, 10)))


def _rate(unit: str) -> tuple[Figure, ...]:
    return (Figure(f"{unit}/s", lambda measured: measured.rate),)


def _percentiles(title: str) -> tuple[Figure, ...]:
    return (
        Figure(f"{title} p50, ms", lambda measured: measured.percentile(0.5) * _MS),
        Figure(f"{title} p99, ms", lambda measured: measured.percentile(0.99) * _MS),
    )


def _importing(name: str, statement: str, *sides: str, what: str = "") -> Family:
    return Family(
        f"import-{name}",
        f"{what or f'`{statement}`'}, in fresh processes, over a bare interpreter",
        "process",
        (20,),
        (Figure("p50, ms", lambda measured: measured.percentile(0.5) * _MS),),
        verb=statement,
        job=Job.IMPORT,
        sides=sides,
    )


_THROUGHPUT = "orchestrations of three activities, one after the other; all started at once"
_FAN = "one orchestration that calls so many activities at once and adds up the results"

FAMILIES = (
    Family(
        "chain",
        "one orchestration that calls so many activities, one after the other",
        "activity",
        (10, 100, 1000),
        _rate("activities"),
        verb="chain",
    ),
    Family("fan", _FAN, "activity", (100, 1000, 5000), _rate("activities"), verb="fan"),
    Family(
        "throughput",
        f"{_THROUGHPUT} by eight threads",
        "orchestration",
        (200, 1000),
        _rate("orchestrations"),
        verb="throughput",
    ),
    Family(
        "latency",
        "one orchestration with one activity on an idle system, so many times",
        "orchestration",
        (100,),
        _percentiles("start to result,"),
        verb="latency",
    ),
    Family(
        "timers",
        "so many orchestrations that sleep one second; how late they are woken",
        "orchestration",
        (1000,),
        _percentiles("lateness"),
        verb="timers",
    ),
    Family(
        "events",
        "so many events to one orchestration, one after the other, until it has got all",
        "event",
        (1000,),
        _rate("events"),
        verb="events",
    ),
    Family(
        "entity",
        "so many signals to one entity, one after the other, and then a call",
        "signal",
        (1000,),
        _rate("signals"),
        verb="entity",
    ),
    Family(
        "idle",
        "so many orchestrations that wait for an event: how much more memory the worker and the "
        "engine hold",
        "orchestration",
        (10_000,),
        (
            Figure("KiB each", lambda measured: sum(measured.samples) / _KIB),
            Figure("in the engine's process", lambda measured: measured.samples[1] / _KIB),
        ),
        verb="idle",
        sides=(IN_PROCESS, "two-processes", OFFICIAL),
    ),
    Family(
        "replay",
        "a turn at the end of so many activities, from the bytes of its history to the decision; "
        "no I/O",
        "event",
        (10, 1000, 10_000),
        _rate("events"),
        verb="replay",
        job=Job.REPLAY,
        sides=(IN_PROCESS, OFFICIAL),
    ),
    _importing("client", "import durabletask.client", IN_PROCESS, OFFICIAL),
    _importing("worker", "import durabletask.worker", IN_PROCESS, OFFICIAL),
    _importing(
        "sidecar",
        "from tools.bench.programs.without_grpc import main; main()",
        IN_PROCESS,
        what="one orchestration on a `Sidecar(port=None)`, gRPC never imported",
    ),
    Family(
        "slow-flush",
        f"{_THROUGHPUT} by 64 threads, with and without 5 ms slept inside every COMMIT",
        "orchestration",
        (1000,),
        _rate("orchestrations"),
        verb="throughput",
        sides=(IN_PROCESS, SLOW_FLUSH),
        options=("--starters", "64"),
    ),
    Family(
        "official-worker-throughput",
        f"the official worker on our sidecar and on its own backend: {_THROUGHPUT}",
        "orchestration",
        (1000,),
        _rate("orchestrations"),
        verb="throughput",
        sides=(OFFICIAL_ON_OURS, OFFICIAL),
        rounds=10,
    ),
    Family(
        "official-worker-fan",
        f"the official worker on our sidecar and on its own backend: {_FAN}",
        "activity",
        (1000,),
        _rate("activities"),
        verb="fan",
        sides=(OFFICIAL_ON_OURS, OFFICIAL),
        rounds=10,
    ),
)


def default_workloads() -> list[Workload]:
    return [Workload(family, size) for family in FAMILIES for size in family.sizes]


def select(names: Iterable[str]) -> list[Workload]:
    """The workloads of these names; a name without a size is all usual sizes, as is its start.

    Raises ValueError for a name that is not known.
    """
    return [workload for name in names for workload in _named(name)]


def _named(name: str) -> list[Workload]:
    for family in FAMILIES:
        if name == family.name:
            return [Workload(family, size) for size in family.sizes]
        start, _, size = name.rpartition("-")
        if start == family.name and size.isdecimal() and int(size):
            return [Workload(family, int(size))]
    found = [each for each in default_workloads() if each.name.startswith(f"{name}-")]
    if not found:
        known = ", ".join(family.name for family in FAMILIES)
        raise ValueError(f"there is no workload {name!r}; choose among {known}")
    return found
