"""Decide whether a process keeps growing, from its memory at even steps of its work.

The first third of the samples is warm-up: caches fill, and the allocator finds its size. The rest
is cut in two. Memory keeps growing if the median of the last half exceeds that of the first by
more than a fiftieth and by more than two MiB, which an allocator may hold for no reason. With
2,000 orchestrations watched, a leak of four KiB for each would be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1024 * 1024
_MOST = 0.02
_NOISE = 2 * MIB
_FEWEST = 9


@dataclass(frozen=True, slots=True)
class Growth:
    """What a process held in the two halves after its warm-up, in bytes."""

    before: float
    after: float

    @property
    def goes_on(self) -> bool:
        return self.after - self.before > max(_MOST * self.before, _NOISE)


def growth(samples: Sequence[int]) -> Growth | None:
    """How the samples grew; None if there are too few to tell."""
    if len(samples) < _FEWEST:
        return None
    warm = samples[len(samples) // 3 :]
    middle = len(warm) // 2
    return Growth(median(warm[:middle]), median(warm[middle:]))
