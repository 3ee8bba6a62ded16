"""Delay continue-as-new by one turn, for engines that need it.

durabletask-go drops the actions that come with continue-as-new, and gives up an instance that
has continued as new in the first turn of an execution more than twenty times in a row. On such
engines all other actions are sent first, with a timer that is due at once; when it has fired,
the orchestration continues as new.

Whether there is a delay follows from what history holds, so that a replay comes to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durabletask.core.determinism import ReplayClock
    from durabletask.core.pending_actions import PendingActions
    from durabletask.core.timers import Timer, Timers
    from durabletask.protocol import messages

_HANDLED_DURING_DELAY = frozenset({
    "orchestrator_started",
    "execution_suspended",
    "execution_resumed",
})  # fmt: skip


class ContinueAsNewDelay:
    """Whether an orchestration waits to continue as new, and the events that come meanwhile."""

    __slots__ = (
        "_clock",
        "_is_needed",
        "_pending_actions",
        "_timer",
        "_timers",
        "_turn",
        "_turns",
        "late_events",
    )

    def __init__(
        self,
        pending_actions: PendingActions,
        timers: Timers,
        clock: ReplayClock,
        *,
        is_needed: bool,
    ) -> None:
        self._pending_actions = pending_actions
        self._timers = timers
        self._clock = clock
        self._is_needed = is_needed
        self._timer: Timer | None = None
        self._turns = 0
        self._turn = 0
        self.late_events: list[messages.HistoryEvent] = []
        """Events that without a delay would have gone to the next execution."""

    @property
    def is_on(self) -> bool:
        """Whether the timer has still to fire."""
        return self._timer is not None

    def count_turn(self) -> None:
        """Count a turn, past or new."""
        self._turns += 1

    def begin(self) -> None:
        """Start the timer, if the engine needs it here."""
        if self._is_needed and (self._turns <= 1 or len(self._pending_actions)):
            self._turn = self._turns
            self._timer = self._timers.start(self._clock.now, self.end)

    def end(self) -> None:
        """Wait no longer: the timer has fired, or the orchestration has ended otherwise."""
        self._timer = None

    def handles(self, kind: str, event: messages.HistoryEvent) -> bool:
        """Whether such an event still matters; all else that was asked for does not."""
        if self._timer is None:
            return False
        fired = event.timer_fired
        return kind in _HANDLED_DURING_DELAY or (
            fired is not None and fired.timer_id == self._timer.id
        )

    def keep_late(self, event: messages.HistoryEvent) -> None:
        """Keep an event that came after the code had continued as new."""
        # Also after the timer, in its turn: the engine would have kept that for the next, too.
        if 0 < self._turn < self._turns:
            self.late_events.append(event)
