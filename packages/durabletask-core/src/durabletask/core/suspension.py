"""Hold the events of a suspended orchestration.

Not held: what ends the suspension (resume, terminate), and what merely records actions that
were asked for before. If records were held too, those actions would count as never sent and be
sent again in every turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.core.confirmations import EVENT_KINDS

if TYPE_CHECKING:
    from durabletask.protocol import messages

_NOT_HELD = EVENT_KINDS | {"execution_suspended", "execution_resumed", "execution_terminated"}


class Suspension:
    """Whether an orchestration is suspended, and the events held since."""

    __slots__ = ("_held", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        self._held: list[messages.HistoryEvent] = []

    def hold(self, kind: str, event: messages.HistoryEvent) -> bool:
        """Hold the event if suspended; False if it is to be handled now."""
        if not self.is_on or kind in _NOT_HELD:
            return False
        self._held.append(event)
        return True

    def begin(self) -> None:
        """Hold events from now on."""
        self.is_on = True

    def end(self) -> list[messages.HistoryEvent]:
        """Stop holding events; return those held, in the order they came."""
        self.is_on = False
        held, self._held = self._held, []
        return held
