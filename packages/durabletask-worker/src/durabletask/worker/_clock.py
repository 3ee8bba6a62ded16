"""Time as the worker's shell sees it: one object, so that tests can turn its hands.

Only the running event loop's clock is used, never the calendar.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """Something that was promised for later and can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Seconds since some moment, and calls at a later one."""

    def time(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer: ...


class LoopClock:
    """The clock of the event loop it is used in."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


async def pause(clock: Clock, seconds: float) -> None:
    """Wait that many seconds of the clock; zero or less still lets others run once."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    over = asyncio.Event()
    timer = clock.call_later(seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()
