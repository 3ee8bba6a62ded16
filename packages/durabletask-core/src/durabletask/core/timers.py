"""Timers, long ones in pieces.

An engine need not be able to hold a timer for longer than `longest`. A longer one is asked for
piece by piece, each counted from the time the one before was due, so that the last piece ends
exactly when the whole was to.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.core.actions import BY_CODE, StartTimer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.core.actions import TimerOrigin
    from durabletask.core.determinism import ReplayClock
    from durabletask.core.ledger import Ledger

_NOTHING = timedelta(0)


class Timer:
    """Something to do at a time; `number` is that of the piece now running."""

    __slots__ = ("due", "number", "on_due", "origin", "piece_ends")

    def __init__(
        self, due: datetime, on_due: Callable[[], None], origin: TimerOrigin | None
    ) -> None:
        self.due = due
        self.on_due = on_due
        self.origin = origin
        self.number = 0
        self.piece_ends = due


class Timers:
    """The timers of one orchestration that have not fired.

    `tells_origins` is for engines that want to know what a timer is for.
    """

    __slots__ = ("_clock", "_ledger", "_longest", "_running", "_tells_origins")

    def __init__(
        self,
        ledger: Ledger,
        clock: ReplayClock,
        longest: timedelta | None,
        *,
        tells_origins: bool = False,
    ) -> None:
        self._ledger = ledger
        self._tells_origins = tells_origins
        self._clock = clock
        self._longest = longest if longest is not None and longest > _NOTHING else None
        self._running: dict[int, Timer] = {}

    def start(
        self, due: datetime, on_due: Callable[[], None], origin: TimerOrigin = BY_CODE
    ) -> Timer:
        """Call `on_due` once history says that it is due."""
        timer = Timer(due, on_due, origin if self._tells_origins else None)
        self._run(timer, self._clock.now)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Never call it; what the engine already knows will fire and be ignored."""
        self._running.pop(timer.number, None)
        self._ledger.withdraw(timer.number)

    def fired(self, number: int, at: datetime | None) -> bool:
        """Go on with the next piece or call what is due; False for an unknown number."""
        timer = self._running.pop(number, None)
        if timer is None:
            return False
        if timer.piece_ends < timer.due:
            self._run(timer, at or timer.piece_ends)
        else:
            timer.on_due()
        return True

    def _run(self, timer: Timer, begins: datetime) -> None:
        timer.number = self._ledger.next_number()
        timer.piece_ends = _piece_end(begins, timer.due, self._longest)
        self._running[timer.number] = timer
        self._ledger.ask(StartTimer(timer.number, timer.piece_ends, timer.origin))


def _piece_end(begins: datetime, due: datetime, longest: timedelta | None) -> datetime:
    # Compared as spans: the sum could lie beyond the calendar.
    if longest is None or due - begins <= longest:
        return due
    return begins + longest
