"""Notice that a stream has fallen silent.

A link can die without a word: a laptop sleeps, a firewall forgets. Sidecars send a ping
every half minute for this reason.

Knows nothing about what is streamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._clock import Clock, Timer


class FellSilentError(Exception):
    """Nothing was heard for longer than allowed."""


class BrokenOffError(Exception):
    """Somebody wanted the stream to end."""


class Silence:
    """A watchdog that costs a message no timer: it looks at when the last one came."""

    def __init__(self, limit: float, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._heard_at = 0.0
        self._is_interrupted = False
        self._bite: Exception | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: Timer | None = None

    @contextlib.contextmanager
    def ends_this_task(self) -> Iterator[None]:
        """Raise FellSilentError in the running task when nothing is heard for too long.

        Or BrokenOffError as soon as `break_off` is called.
        """
        task = self._task = asyncio.current_task()
        assert task is not None
        self._bite = None
        self._heard_at = self._clock.time()
        if self._limit:
            self._look(task)
        try:
            yield
        except asyncio.CancelledError:
            # As asyncio.timeout does: a cancellation that is not ours goes on.
            if (bite := self._bitten()) is not None and task.uncancel() == 0:
                raise bite from None
            raise
        finally:
            self._task = None
            if self._timer is not None:
                self._timer.cancel()

    def heard(self) -> None:
        """Something was heard: the time begins anew."""
        self._heard_at = self._clock.time()

    def break_off(self, why: str) -> None:
        """End what is being watched, if anything is."""
        if self._task is not None:
            self._end(self._task, BrokenOffError(why))

    @contextlib.contextmanager
    def interrupted(self) -> Iterator[None]:
        """Do not count the time within, for nobody listens then; it begins anew after it."""
        self._is_interrupted = True
        try:
            yield
        finally:
            self._is_interrupted = False
            self.heard()

    def _look(self, task: asyncio.Task[object]) -> None:
        silent_for = 0.0 if self._is_interrupted else self._clock.time() - self._heard_at
        if silent_for >= self._limit:
            self._end(task, FellSilentError())
            return
        self._timer = self._clock.call_later(
            self._limit - silent_for, functools.partial(self._look, task)
        )

    def _bitten(self) -> Exception | None:
        return self._bite

    def _end(self, task: asyncio.Task[object], error: Exception) -> None:
        # Once: each cancellation has to be taken back, and one is.
        if self._bite is None:
            self._bite = error
            task.cancel()
