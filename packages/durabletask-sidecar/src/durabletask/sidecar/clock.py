"""The sidecar's source of time, and of calls at a given time.

Every other module takes `now` or a `Clock` as an argument. An alarm calls back on the event loop
that set it, never early, and late only while the loop is busy.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# The wall clock may be set while an alarm waits, so an alarm checks the time at least this
# often. It also keeps timers of the year 9999 out of the selector, which cannot wait that long.
_LONGEST_NAP = timedelta(seconds=60)


class Alarm(Protocol):
    """A call at a later time."""

    @property
    def when(self) -> datetime:
        """When the call is due."""
        ...

    def cancel(self) -> None:
        """Cancel the call; has no effect when it was made already."""
        ...


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime:
        """The time in UTC; never earlier than a time returned before."""
        ...

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        """Call back on the running event loop once `when` has come."""
        ...


class SystemClock:
    """The machine's clock, made monotonic.

    `wall` returns the time, which may be set back or forward; `ticks` returns monotonic seconds.
    `longest_nap` is how late an alarm may notice that the wall clock was set forward.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = partial(datetime.now, UTC),  # noqa: B008, TID251 - the clock
        ticks: Callable[[], float] = time.monotonic,  # noqa: TID251 - this is the clock
        *,
        longest_nap: timedelta = _LONGEST_NAP,
    ) -> None:
        self.longest_nap = longest_nap
        self._wall = wall
        self._ticks = ticks
        # The last time that was taken from the wall clock, and the ticks at that time.
        self._base = datetime.min.replace(tzinfo=UTC)
        self._base_ticks = ticks()

    def now(self) -> datetime:
        wall, ticks = self._wall(), self._ticks()
        # Times in a history must not decrease. When the wall clock was set back, time goes on
        # from the last base until the wall clock has caught up.
        steady = self._base + timedelta(seconds=ticks - self._base_ticks)
        if wall < steady:
            return steady
        self._base, self._base_ticks = wall, ticks
        return wall

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        return _SystemAlarm(self, when, callback)


class _SystemAlarm:
    def __init__(self, clock: SystemClock, when: datetime, callback: Callable[[], None]) -> None:
        self._clock = clock
        self.when = when
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._nap(), self._check)

    def _nap(self) -> float:
        left = self.when - self._clock.now()
        return max(timedelta(0), min(left, self._clock.longest_nap)).total_seconds()

    def _check(self) -> None:
        if self._clock.now() >= self.when:
            self._callback()
        else:
            self._handle = self._loop.call_later(self._nap(), self._check)

    def cancel(self) -> None:
        self._handle.cancel()


class ManualClock:
    """A clock for tests, which moves only when it is told to; safe to use from any thread.

    Example:
        clock = ManualClock()
        with Sidecar(clock=clock) as address:
            ...
            clock.advance(timedelta(hours=1))
    """

    def __init__(self, now: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._order = itertools.count()
        self._alarms: list[tuple[datetime, int, _ManualAlarm]] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        alarm = _ManualAlarm(asyncio.get_running_loop(), when, callback)
        with self._lock:
            heapq.heappush(self._alarms, (when, next(self._order), alarm))
            self._ring()
        return alarm

    def advance(self, step: timedelta) -> None:
        """Move the time forward, and make the calls that are due, earliest first."""
        with self._lock:
            self._now += step
            self._ring()

    def advance_to(self, when: datetime) -> None:
        """Move the time forward to `when`; has no effect when that is in the past."""
        with self._lock:
            self._now = max(self._now, when)
            self._ring()

    def next_alarm(self) -> datetime | None:
        """When the next alarm is due; None when there is none."""
        with self._lock:
            while self._alarms and self._alarms[0][2].is_cancelled:
                heapq.heappop(self._alarms)
            return self._alarms[0][0] if self._alarms else None

    def _ring(self) -> None:
        while self._alarms and self._alarms[0][0] <= self._now:
            heapq.heappop(self._alarms)[2].ring()


class _ManualAlarm:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, when: datetime, callback: Callable[[], None]
    ) -> None:
        self._loop = loop
        self.when = when
        self._callback = callback
        self.is_cancelled = False

    def ring(self) -> None:
        # The test may advance the clock in another thread, and after the loop was closed.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        if not self.is_cancelled:
            self._callback()

    def cancel(self) -> None:
        self.is_cancelled = True
