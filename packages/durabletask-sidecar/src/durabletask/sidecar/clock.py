"""Tell the time and ring when it comes: the sidecar's only clock.

Every other module is handed `now` or a `Clock`. An alarm rings on the event loop that
set it, never early, and late only by what the loop is busy with.

Knows nothing about what the time is wanted for.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# The wall clock may be set while an alarm waits, so no alarm sleeps longer than this
# before it looks again. It also keeps a timer of the year 9999 out of the selector.
_LONGEST_NAP = timedelta(seconds=60)


class Alarm(Protocol):
    """One call that is due later."""

    @property
    def when(self) -> datetime:
        """When the call is due."""
        ...

    def cancel(self) -> None:
        """Forget the call; harmless when it was made already."""
        ...


class Clock(Protocol):
    """Where the sidecar's time comes from."""

    def now(self) -> datetime:
        """The time in UTC; never earlier than an answer given before."""
        ...

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        """Make the call on the running event loop once `when` has come."""
        ...


class SystemClock:
    """The machine's clock, which never runs backwards here and never stands still.

    `wall` is the clock that is right but may be set, `ticks` counts seconds whatever
    happens to it. `longest_nap` is how late an alarm may learn that the clock was set forward.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),  # noqa: TID251 - this is the clock
        ticks: Callable[[], float] = time.monotonic,  # noqa: TID251 - this is the clock
        *,
        longest_nap: timedelta = _LONGEST_NAP,
    ) -> None:
        self.longest_nap = longest_nap
        self._wall = wall
        self._ticks = ticks
        # When the wall clock was last believed.
        self._believed = datetime.min.replace(tzinfo=UTC)
        self._believed_at = ticks()

    def now(self) -> datetime:
        wall, ticks = self._wall(), self._ticks()
        # Histories must not decrease, and the wall clock may be set back. Until it is
        # there again, time goes on from where it was.
        steady = self._believed + timedelta(seconds=ticks - self._believed_at)
        if wall < steady:
            return steady
        self._believed, self._believed_at = wall, ticks
        return wall

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        return _SystemAlarm(self, when, callback)


class _SystemAlarm:
    def __init__(self, clock: SystemClock, when: datetime, callback: Callable[[], None]) -> None:
        self._clock = clock
        self.when = when
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._nap(), self._look)

    def _nap(self) -> float:
        left = self.when - self._clock.now()
        return max(timedelta(0), min(left, self._clock.longest_nap)).total_seconds()

    def _look(self) -> None:
        if self._clock.now() >= self.when:
            self._callback()
        else:
            self._handle = self._loop.call_later(self._nap(), self._look)

    def cancel(self) -> None:
        self._handle.cancel()


class ManualClock:
    """A clock that stands still until a test moves it; from any thread.

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
        """Move the time on and ring every alarm that has come due, earliest first."""
        with self._lock:
            self._now += step
            self._ring()

    def advance_to(self, when: datetime) -> None:
        """The same, but up to that time; nothing happens when it is past already."""
        with self._lock:
            self._now = max(self._now, when)
            self._ring()

    def next_alarm(self) -> datetime | None:
        """When the next alarm is due, None when nobody waits."""
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
        # The test that advances the clock may live in another thread than the loop, and
        # the loop may be gone by then.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        if not self.is_cancelled:
            self._callback()

    def cancel(self) -> None:
        self.is_cancelled = True
