"""What history records further on: the only look ahead that a replay takes.

By the engine and the SDK that wrote a history, numbers begin at 1 or elsewhere, and a call that
is made again has its old number or a fresh one. Which it was, only the records of the actions
tell, and they come after the code has gone on to ask for more. So these questions may be asked
of what has not been replayed yet.

Knows nothing about retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.core import actions, records
from durabletask.protocol.oneofs import which

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.protocol import messages


class Foresight:
    """History as far as it is known, and how much of it has been taken."""

    __slots__ = ("_begins", "_events", "_instance_id", "_last", "taken")

    def __init__(self, instance_id: str) -> None:
        self.taken = 0
        self._instance_id = instance_id
        self._begins = 0
        self._events: Sequence[messages.HistoryEvent] = ()
        self._last: dict[tuple[str, int, str], int] | None = None

    def begin(self, events: Sequence[messages.HistoryEvent]) -> None:
        """Look as far ahead as these events, which are taken next."""
        self._begins = self.taken
        self._events = events
        self._last = None

    def first_number(self) -> int | None:
        """The number of the first action that is recorded further on; None if there is none."""
        position = self.taken - self._begins
        ahead = (event.event_id for event in self._events[position:] if self._is_action(event))
        return next(ahead, None)

    def records(self, method: str, number: int, name: str) -> bool:
        """Whether history records such a call, under that number, further on."""
        if self._last is None:
            # Late: hardly an orchestration ever asks.
            self._last = {
                called: position
                for position, event in enumerate(self._events, self._begins)
                if (called := _call(event)) is not None
            }
        return self._last.get((method, number, name), -1) >= self.taken

    def _is_action(self, event: messages.HistoryEvent) -> bool:
        if which(event) not in records.KINDS:
            return False
        # What came from another instance may stand here as that one's record, which has its number.
        sent = event.event_sent
        return sent is None or sent.instance_id != self._instance_id


def _call(event: messages.HistoryEvent) -> tuple[str, int, str] | None:
    if (task := event.task_scheduled) is not None:
        return actions.CALL_ACTIVITY, event.event_id, task.name
    if (child := event.sub_orchestration_instance_created) is not None:
        return actions.CALL_SUB_ORCHESTRATOR, event.event_id, child.name
    return None
