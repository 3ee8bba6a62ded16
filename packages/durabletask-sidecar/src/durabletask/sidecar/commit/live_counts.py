"""Count the orchestrations that have not ended, by task hub.

The counts are not stored: they begin with what the store says at the start, and follow each
commit. A commit that fails is rolled back here too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Transition


class LiveCounts:
    """How many orchestrations of each task hub have not ended."""

    def __init__(self, committed: Mapping[str, int]) -> None:
        self._committed = Counter(committed)
        self._added: Counter[str] = Counter()
        """By the commit in progress."""

    def __len__(self) -> int:
        """How many task hubs are remembered."""
        return len(self._committed)

    def of(self, hub: str) -> int:
        return self._committed[hub] + self._added[hub]

    def note(self, hub: str, before: Instance | None, transition: Transition) -> None:
        """Count what the commit in progress does to an instance."""
        was_live = is_live = before is not None and before.is_live
        if transition.removes:
            is_live = False
        elif transition.progress is not None:
            is_live = not transition.progress.is_terminal
        self._added[hub] += is_live - was_live

    def commit(self) -> None:
        """Keep what was counted since the last commit."""
        for hub, added in self._added.items():
            self._committed[hub] += added
            if not self._committed[hub]:
                # Clients make up names of task hubs: empty ones are not remembered.
                del self._committed[hub]
        self._added.clear()

    def roll_back(self) -> None:
        """Drop what was counted since the last commit."""
        self._added.clear()

    def forget(self, hub: str) -> None:
        del self._committed[hub]
