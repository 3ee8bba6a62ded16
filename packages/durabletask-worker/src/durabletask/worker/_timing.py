"""Measure time in the worker: a clock that tests can replace, delays, and an idle watchdog.

Only the clock of the event loops is used, never the calendar.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Timer(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Seconds since an arbitrary moment, on any thread, and calls at a later one."""

    def time(self) -> float: ...

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer: ...


class LoopClock:
    """The clock that event loops use; calls are made in the running one."""

    def time(self) -> float:
        return time.monotonic()  # noqa: TID251 - the shell is where time comes from

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait that many seconds of the clock; zero or less still lets other tasks run once."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    over = asyncio.Event()
    timer = clock.call_later(seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()


class StreamIdleError(Exception):
    """The stream carried nothing for longer than allowed."""


class StreamAbortedError(Exception):
    """The worker itself ended the stream."""


class IdleWatchdog:
    """Ends the task that reads a stream when nothing arrives for `limit` seconds; 0: never.

    A connection can die without an error: a laptop sleeps, a firewall drops it. Sidecars send
    a ping every half minute for this reason. However many messages arrive, there is one timer,
    which is re-armed when it fires.
    """

    def __init__(self, limit: float, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._last_activity = 0.0
        self._is_paused = False
        self._error: Exception | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: Timer | None = None

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the running task; raises StreamIdleError in it when the limit is exceeded.

        Raises StreamAbortedError as soon as `abort` is called.
        """
        task = self._task = asyncio.current_task()
        assert task is not None
        self._error = None
        self._last_activity = self._clock.time()
        if self._limit:
            self._check(task)
        try:
            yield
        except asyncio.CancelledError:
            # As asyncio.timeout does: a cancellation that came from elsewhere goes on.
            if (error := self._error_raised()) is not None and task.uncancel() == 0:
                raise error from None
            raise
        finally:
            self._task = None
            if self._timer is not None:
                self._timer.cancel()

    def reset(self) -> None:
        """Restart the measurement, because something has arrived; from any thread."""
        self._last_activity = self._clock.time()

    def abort(self, reason: str) -> None:
        """End the task that is being watched, if there is one."""
        if self._task is not None:
            self._end(self._task, StreamAbortedError(reason))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time within, when the stream is not read; restart after it."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False
            self.reset()

    def _check(self, task: asyncio.Task[object]) -> None:
        idle_for = 0.0 if self._is_paused else self._clock.time() - self._last_activity
        if idle_for >= self._limit:
            self._end(task, StreamIdleError())
            return
        self._timer = self._clock.call_later(
            self._limit - idle_for, functools.partial(self._check, task)
        )

    def _error_raised(self) -> Exception | None:
        return self._error

    def _end(self, task: asyncio.Task[object], error: Exception) -> None:
        # Once: each cancellation has to be taken back, and `watch` takes back one.
        if self._error is None:
            self._error = error
            task.cancel()
