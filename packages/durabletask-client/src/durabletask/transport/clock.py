"""The transport's clock: one object to replace where time or chance must not decide."""

from __future__ import annotations

import asyncio
import random
import time


class Clock:
    """Seconds that only go forward, pauses, and draws for the jitter."""

    def now(self) -> float:
        return time.monotonic()  # noqa: TID251 - this is the clock

    def jitter(self) -> float:
        """A draw from [0, 1), so that many clients do not return all at once."""
        return random.random()  # noqa: TID251, S311 - this is the clock; no secret

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: TID251 - between two attempts there is no event to wait for

    async def pause_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = Clock()
