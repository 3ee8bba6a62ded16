"""Count the orchestrations that have not ended, so that nobody has to look for them.

The counts are never stored: what is committed says them at the start, and each commit what
it adds. A commit that fails takes back what it has added.

Knows nothing about how many there may be.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Transition


class Headcount:
    """How many there are in each task hub."""

    def __init__(self, committed: Mapping[str, int]) -> None:
        self._committed = Counter(committed)
        self._added: Counter[str] = Counter()
        """By the commit that is being made."""

    def __len__(self) -> int:
        """How many task hubs are remembered."""
        return len(self._committed)

    def of(self, hub: str) -> int:
        return self._committed[hub] + self._added[hub]

    def follow(self, hub: str, before: Instance | None, transition: Transition) -> None:
        """Take note of what a commit will make of an instance."""
        was_alive = is_alive = before is not None and before.is_live
        if transition.removes:
            is_alive = False
        elif transition.progress is not None:
            is_alive = not transition.progress.is_terminal
        self._added[hub] += is_alive - was_alive

    def keep(self) -> None:
        """It is committed."""
        for hub, added in self._added.items():
            self._committed[hub] += added
            if not self._committed[hub]:
                # Anybody makes up names of task hubs; those without anybody are not remembered.
                del self._committed[hub]
        self._added.clear()

    def take_back(self) -> None:
        """It failed."""
        self._added.clear()

    def forget(self, hub: str) -> None:
        del self._committed[hub]
