"""Pending timers. Long ones are divided into several, one after the other.

An engine need not be able to hold a timer for longer than `longest`. A longer one is created
as a sequence of segments, each counted from the time the one before was due, so that the last
one ends exactly when the whole timer is due.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.core.actions import CREATED_BY_CODE, create_timer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.core.actions import TimerOrigin
    from durabletask.core.determinism import ReplayClock
    from durabletask.core.pending_actions import PendingActions

_NOTHING = timedelta(0)


class Timer:
    """Something to do at a time; `id` is the action id of the segment now running."""

    __slots__ = ("due", "id", "on_due", "origin", "segment_ends")

    def __init__(
        self, due: datetime, on_due: Callable[[], None], origin: TimerOrigin | None
    ) -> None:
        self.due = due
        self.on_due = on_due
        self.origin = origin
        self.id = 0
        self.segment_ends = due


class Timers:
    """The timers of one orchestration that have not fired.

    `records_origins` is for engines that record what a timer is for.
    """

    __slots__ = ("_clock", "_longest", "_pending_actions", "_records_origins", "_running")

    def __init__(
        self,
        pending_actions: PendingActions,
        clock: ReplayClock,
        longest: timedelta | None,
        *,
        records_origins: bool = False,
    ) -> None:
        self._pending_actions = pending_actions
        self._records_origins = records_origins
        self._clock = clock
        self._longest = longest if longest is not None and longest > _NOTHING else None
        self._running: dict[int, Timer] = {}

    def start(
        self, due: datetime, on_due: Callable[[], None], origin: TimerOrigin = CREATED_BY_CODE
    ) -> Timer:
        """Call `on_due` once the timer has fired."""
        timer = Timer(due, on_due, origin if self._records_origins else None)
        self._run(timer, self._clock.now)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Never call `on_due`; a timer that the engine has already will fire and be ignored."""
        self._running.pop(timer.id, None)
        self._pending_actions.discard(timer.id)

    def fired(self, id: int, at: datetime | None) -> bool:
        """Start the next segment or call `on_due`; False for an unknown id."""
        timer = self._running.pop(id, None)
        if timer is None:
            return False
        if timer.segment_ends < timer.due:
            self._run(timer, at or timer.segment_ends)
        else:
            timer.on_due()
        return True

    def _run(self, timer: Timer, begins: datetime) -> None:
        timer.id = self._pending_actions.next_id()
        timer.segment_ends = _segment_end(begins, timer.due, self._longest)
        self._running[timer.id] = timer
        self._pending_actions.add(create_timer(timer.id, timer.segment_ends, timer.origin))


def _segment_end(begins: datetime, due: datetime, longest: timedelta | None) -> datetime:
    # Compared as spans: the sum could lie beyond the calendar.
    if longest is None or due - begins <= longest:
        return due
    return begins + longest
