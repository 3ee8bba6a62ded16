"""Count what clients are told, so that others can act at a point of the run, not of the clock."""

from __future__ import annotations

import asyncio


class Progress:
    """A count that grows, and those who wait for it; of one event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    def advance(self) -> None:
        """Count one more acknowledgment."""
        self.count += 1
        for target, reached in self._waiting:
            if self.count >= target:
                reached.set()

    async def more(self, by: int) -> None:
        """Return when there were so many more."""
        await self.reach(self.count + by)

    async def reach(self, target: int) -> None:
        """Return when there were so many in all."""
        if self.count >= target:
            return
        entry = (target, asyncio.Event())
        self._waiting.append(entry)
        try:
            await entry[1].wait()
        finally:
            self._waiting.remove(entry)
