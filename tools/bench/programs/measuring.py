"""Measure a stretch of work from inside the process that does it; print the figures as JSON.

CPU seconds and memory are those of this process and, where there is one, of the engine's process.
Imported in the environments of all sides: it needs nothing but Python, and Linux for the engine.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

# Events: so many that a clock tells them apart from nothing.
REPLAYED_AT_LEAST = 30_000

_TICKS = os.sysconf("SC_CLK_TCK")
# Linux counts it in KiB, macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass
class Meter:
    """Wall and CPU seconds of what runs inside `with meter:`.

    `engine` is the number of the process in which the engine runs, None when it is this one.
    `units` is how many activities, orchestrations or events that was, and `samples` what the
    workload measured itself.
    """

    engine: int | None = None
    units: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    samples: list[float] = field(default_factory=list)

    def over(self, units: int) -> Self:
        """Itself, for `with meter.over(1000):`."""
        self.units = units
        return self

    def __enter__(self) -> Self:
        self._cpu_before = self._cpu_now()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = self._cpu_now() - self._cpu_before

    def report(self) -> None:
        """Print the figures as one line, the last of the program."""
        figures = {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_bytes": self._peak_bytes(),
            "units": self.units,
            "samples": self.samples,
        }
        print(json.dumps(figures), flush=True)

    def resident_bytes(self) -> tuple[int, int]:
        """How much memory this process and the engine's hold now; Linux only."""
        return (
            _status_bytes("self", "VmRSS"),
            _status_bytes(self.engine, "VmRSS") if self.engine else 0,
        )

    def _cpu_now(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = time.process_time() + ended.ru_utime + ended.ru_stime
        return own + (_cpu_seconds(self.engine) if self.engine else 0.0)

    def _peak_bytes(self) -> int:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        own = max(usage.ru_maxrss for usage in usages) * _PEAK_UNIT
        return own + (_status_bytes(self.engine, "VmHWM") if self.engine else 0)


def _cpu_seconds(process: int) -> float:
    """User and system time of all threads of the process."""
    # The name in brackets may have spaces in it.
    columns = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / _TICKS


def _status_bytes(process: int | str, name: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/{process}/status has no {name}")
