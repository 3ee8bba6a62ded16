"""Match what the orchestrator asks for against what history records.

Every action gets the next id when user code asks for it. During replay history confirms the
same ids; anything else means that the code changed under a running instance. The only source
of NonDeterminismError.

durabletask-go delivers the answers to one execution also to the next one, and takes one answer
for each id. If the first action of both had the id 1, a timer of the old execution would complete
one of the new. On such engines each execution therefore has ids of its own: a thousand times
something that follows from its execution id, plus 1, 2, and so on. A history that was written
otherwise, by another SDK or for another engine, is followed as it is.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from durabletask.failures import NonDeterminismError, RequestedAction

if TYPE_CHECKING:
    from durabletask.core.actions import Action, ActionKind
    from durabletask.core.history_lookahead import HistoryLookahead

# All ids stay below 2**31: the protocol has 32 bits for them.
_BLOCKS = 2_000_000
_IDS_IN_BLOCK = 1_000


class PendingActions:
    """Gives actions their ids and keeps those that history has not confirmed."""

    __slots__ = ("_last_id", "_unconfirmed")

    def __init__(self) -> None:
        self._last_id = 0
        self._unconfirmed: dict[int, Action] = {}

    def start_ids_after(self, id: int) -> None:
        """Let the first id be the one after that."""
        self._last_id = id

    def next_id(self) -> int:
        """The next free id. Gaps do no harm, so a call that raises may leave one."""
        self._last_id += 1
        return self._last_id

    @property
    def upcoming_id(self) -> int:
        """The id that `next_id` would give."""
        return self._last_id + 1

    def add(self, action: Action) -> None:
        """Add an action; a retried one may come again under its old id."""
        self._unconfirmed[action.id] = action

    def discard(self, id: int) -> None:
        """Drop an action that has not been sent; no effect on one that has."""
        self._unconfirmed.pop(id, None)

    def discard_all(self, kind: ActionKind | None = None) -> None:
        """Drop every action that has not been sent, or every one of that kind."""
        kept = {} if kind is None else self._unconfirmed
        self._unconfirmed = {id: it for id, it in kept.items() if it.kind != kind}

    def discard_on_failure(self) -> None:
        """Drop what has not been sent, except for what is sent even after a failure."""
        self._unconfirmed = {id: it for id, it in self._unconfirmed.items() if it.survives_failure}

    def expects(self, id: int, kind: ActionKind, name: str) -> bool:
        """Whether history has still to record such an action."""
        asked = self._unconfirmed.get(id)
        return asked is not None and asked.kind == kind and asked.name.casefold() == name.casefold()

    def confirm(self, id: int, kind: ActionKind, name: str = "", target: str = "") -> None:
        """Drop what history records, or raise NonDeterminismError and change nothing."""
        asked = self._unconfirmed.get(id)
        if asked is None or asked.kind != kind or not asked.is_recorded_as(name, target):
            raise NonDeterminismError(
                RequestedAction(id, kind, name, target),
                asked.requested() if asked is not None else None,
            )
        del self._unconfirmed[id]

    def confirm_any(self, id: int, kind: ActionKind, name: str) -> None:
        """Drop the action of that id or, if there is none, all of that kind and name.

        For what is recorded under an id of the engine's own; nothing to drop is fine. Raises
        NonDeterminismError, and changes nothing, if the id is that of another action.
        """
        asked = self._unconfirmed.get(id)
        if asked is None:
            self._unconfirmed = {
                id: it for id, it in self._unconfirmed.items() if it.kind != kind or it.name != name
            }
        elif asked.kind == kind and asked.name == name:
            del self._unconfirmed[id]
        else:
            raise NonDeterminismError(RequestedAction(id, kind, name), asked.requested())

    def __len__(self) -> int:
        return len(self._unconfirmed)

    def outstanding(self) -> list[Action]:
        """The actions that history does not hold yet, in the order they were asked for."""
        return list(self._unconfirmed.values())


def id_before_first(execution_id: str, lookahead: HistoryLookahead, *, unique_ids: bool) -> int:
    """The id after which the ids of that execution's actions begin.

    `unique_ids` is whether an execution of which history records no action gets ids of its own.
    """
    own = zlib.crc32(execution_id.encode(errors="replace")) % _BLOCKS * _IDS_IN_BLOCK
    recorded = lookahead.first_action_id()
    is_own = unique_ids if recorded is None else own < recorded <= own + _IDS_IN_BLOCK
    return own if is_own else 0
