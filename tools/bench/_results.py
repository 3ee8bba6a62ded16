"""What was measured: every round of every workload on every side, and the medians of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.bench._workloads import Workload


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one workload on one side, as `programs/measuring.py` reports it."""

    seconds: float
    cpu_seconds: float
    """Of all processes of the side."""
    peak_bytes: int
    """The most memory that these processes held, added up."""
    units: int
    """How many activities, orchestrations or events that was."""
    samples: Sequence[float] = ()
    """What the workload measured itself."""

    @classmethod
    def parsed(cls, line: str) -> Measurement:
        return cls(**json.loads(line))

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.units / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds for one."""
        return self.cpu_seconds / self.units

    def percentile(self, share: float) -> float:
        ordered = sorted(self.samples)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(slots=True)
class Results:
    """All measurements of one run of the benchmark, by the names of workload and side."""

    rounds: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)

    def add(self, workload: Workload, side: str, measurement: Measurement) -> None:
        self.rounds.setdefault(workload.name, {}).setdefault(side, []).append(measurement)

    def of(self, workload: Workload, side: str) -> list[Measurement]:
        return self.rounds.get(workload.name, {}).get(side, [])

    def value(self, workload: Workload, side: str, figure: int = 0) -> float | None:
        """The median of the rounds; None if the side has no measurement of this workload."""
        measured = self.of(workload, side)
        if not measured:
            return None
        return median(workload.family.figures[figure].value(each) for each in measured)

    def ratio(self, workload: Workload, side: str, other: str, figure: int = 0) -> float | None:
        """The side's median by the other's."""
        mine, others = (self.value(workload, each, figure) for each in (side, other))
        return mine / others if mine is not None and others else None

    def cpu_ms(self, workload: Workload, side: str) -> float:
        """The median CPU time of one unit, in ms."""
        return 1000 * median(each.cpu_each for each in self.of(workload, side))

    def peak_bytes(self, workload: Workload, side: str) -> float:
        """The median of the most memory."""
        return median(each.peak_bytes for each in self.of(workload, side))

    def as_json(self) -> str:
        """Every measurement, by workload, side and round."""
        rounds = {
            workload: {
                side: [asdict(each) for each in measured] for side, measured in sides.items()
            }
            for workload, sides in self.rounds.items()
        }
        return json.dumps(rounds, indent=1)
