"""A turn of its own for what an orchestration asks for before it continues as new.

durabletask-go drops whatever stands in an answer beside the continuation, and gives up an
instance that more than twenty times in a row has continued in the first turn of an execution.
There all the rest is asked for first, with a timer that is due at once; when that has fired, the
orchestration continues as new.

Whether there is a pause follows from what history holds, so that a replay comes to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durabletask.core.determinism import ReplayClock
    from durabletask.core.ledger import Ledger
    from durabletask.core.timers import Timer, Timers
    from durabletask.protocol import messages

_HEARD = frozenset({"orchestrator_started", "execution_suspended", "execution_resumed"})


class Pause:
    """Whether an orchestration waits before it continues as new, and what arrives meanwhile."""

    __slots__ = ("_clock", "_is_needed", "_ledger", "_timer", "_timers", "_turn", "_turns", "late")

    def __init__(
        self, ledger: Ledger, timers: Timers, clock: ReplayClock, *, is_needed: bool
    ) -> None:
        self._ledger = ledger
        self._timers = timers
        self._clock = clock
        self._is_needed = is_needed
        self._timer: Timer | None = None
        self._turns = 0
        self._turn = 0
        self.late: list[messages.HistoryEvent] = []
        """Events that without a pause would have gone to the next execution."""

    @property
    def is_on(self) -> bool:
        """Whether the timer has still to fire."""
        return self._timer is not None

    def next_turn(self) -> None:
        """Count a turn, past or new."""
        self._turns += 1

    def begin(self) -> None:
        """Pause, if the engine needs it here."""
        if self._is_needed and (self._turns <= 1 or self._ledger.outstanding()):
            self._turn = self._turns
            self._timer = self._timers.start(self._clock.now, self.end)

    def end(self) -> None:
        """Go on at once, however the orchestration ends."""
        self._timer = None

    def hears(self, kind: str, event: messages.HistoryEvent) -> bool:
        """Whether such an event still matters: nothing else that was asked for does."""
        if self._timer is None:
            return False
        fired = event.timer_fired
        return kind in _HEARD or (fired is not None and fired.timer_id == self._timer.number)

    def arrived(self, event: messages.HistoryEvent) -> None:
        """Take an event that nobody waits for any more."""
        # Also after the timer, in its turn: the engine would have kept that for the next, too.
        if 0 < self._turn < self._turns:
            self.late.append(event)
