"""What a suspended orchestration does with events: it holds them.

Not held: what ends the suspension (resume, terminate), and what the engine merely records
about actions that were asked for before. If records were held too, those actions would count
as never sent and be sent again with every event that comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durabletask.protocol import messages

_NOT_HELD = frozenset({
    "execution_suspended",
    "execution_resumed",
    "execution_terminated",
    "task_scheduled",
    "sub_orchestration_instance_created",
    "timer_created",
    "event_sent",
    "entity_operation_called",
    "entity_operation_signaled",
    "entity_lock_requested",
    "entity_unlock_sent",
})  # fmt: skip


class Suspension:
    """Whether an orchestration is suspended, and the events it holds meanwhile."""

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
        """Stop holding events; those held, in the order they came."""
        self.is_on = False
        held, self._held = self._held, []
        return held
