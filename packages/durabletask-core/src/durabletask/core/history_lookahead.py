"""Look ahead in the history that is being replayed.

Depending on the engine and the SDK that wrote a history, ids begin at 1 or elsewhere, and a
call that is retried has its old id or a new one. Only the events that record the actions tell
which, and they come after the code has gone on to ask for more. These are the only questions
that a replay asks about events which it has not applied yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.core.actions import CALL_ACTIVITY, CALL_SUB_ORCHESTRATOR
from durabletask.core.confirmations import EVENT_KINDS
from durabletask.protocol.oneofs import which

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.core.actions import ActionKind
    from durabletask.protocol import messages


class HistoryLookahead:
    """The part of history that is known, and how many of its events have been applied."""

    __slots__ = ("_calls", "_events", "_instance_id", "_start", "applied")

    def __init__(self, instance_id: str) -> None:
        self.applied = 0
        self._instance_id = instance_id
        self._start = 0
        self._events: Sequence[messages.HistoryEvent] = ()
        self._calls: dict[tuple[ActionKind, int, str], int] | None = None

    def load(self, events: Sequence[messages.HistoryEvent]) -> None:
        """Look ahead in these events, which are applied next."""
        self._start = self.applied
        self._events = events
        self._calls = None

    def first_action_id(self) -> int | None:
        """The id of the first action that is recorded further on; None if there is none."""
        position = self.applied - self._start
        ahead = (event.event_id for event in self._events[position:] if self._is_action(event))
        return next(ahead, None)

    def has_call(self, kind: ActionKind, id: int, name: str) -> bool:
        """Whether history records such a call, under that id, further on."""
        if self._calls is None:
            # Late: only a retry ever asks.
            self._calls = {
                call: position
                for position, event in enumerate(self._events, self._start)
                if (call := _call(event)) is not None
            }
        return self._calls.get((kind, id, name), -1) >= self.applied

    def _is_action(self, event: messages.HistoryEvent) -> bool:
        if which(event) not in EVENT_KINDS:
            return False
        # An event that another instance sent may stand here as recorded there, with its id.
        sent = event.event_sent
        return sent is None or sent.instance_id != self._instance_id


def _call(event: messages.HistoryEvent) -> tuple[ActionKind, int, str] | None:
    if (task := event.task_scheduled) is not None:
        return CALL_ACTIVITY, event.event_id, task.name
    if (child := event.sub_orchestration_instance_created) is not None:
        return CALL_SUB_ORCHESTRATOR, event.event_id, child.name
    return None
