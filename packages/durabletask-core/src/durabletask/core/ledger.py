"""Match what the orchestrator asks for against what history says it asked for.

Every action gets the next number when user code asks for it. During replay the history
confirms the same numbers; anything else means that the code changed under a running instance.
The only source of NonDeterminismError.

Knows nothing about generators, serialization or events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.failures import NonDeterminismError, RequestedAction

if TYPE_CHECKING:
    from durabletask.core.actions import Action


class Ledger:
    """Numbers actions as they are asked for and crosses them off as history confirms them."""

    __slots__ = ("_last_number", "_unconfirmed")

    def __init__(self) -> None:
        self._last_number = 0
        self._unconfirmed: dict[int, Action] = {}

    def begin_after(self, number: int) -> None:
        """Let the first number be the one after that."""
        self._last_number = number

    def next_number(self) -> int:
        """The next free number. Gaps do no harm, so a call that raises may leave one."""
        self._last_number += 1
        return self._last_number

    @property
    def upcoming(self) -> int:
        """The number that `next_number` would give."""
        return self._last_number + 1

    def ask(self, action: Action) -> None:
        """Enter an action; a retried one may come again under its old number."""
        self._unconfirmed[action.id] = action

    def withdraw(self, number: int) -> None:
        """Forget an action that has not left yet; no effect on one that has."""
        self._unconfirmed.pop(number, None)

    def withdraw_all(self, method: str | None = None) -> None:
        """Forget every action that has not left yet, or every one of that method."""
        kept = {} if method is None else self._unconfirmed
        self._unconfirmed = {id: it for id, it in kept.items() if it.method != method}

    def abandon(self) -> None:
        """Forget what has not left yet, but for what others are owed whatever happens here."""
        self._unconfirmed = {id: it for id, it in self._unconfirmed.items() if it.is_owed}

    def awaits(self, number: int, method: str, name: str) -> bool:
        """Whether history has still to record such an action."""
        asked = self._unconfirmed.get(number)
        return (
            asked is not None
            and asked.method == method
            and asked.name.casefold() == name.casefold()
        )

    def confirm(self, number: int, method: str, name: str = "", target: str = "") -> None:
        """Cross off what history records, or raise NonDeterminismError and change nothing."""
        asked = self._unconfirmed.get(number)
        if asked is None or asked.method != method or not asked.is_recorded_as(name, target):
            raise NonDeterminismError(
                RequestedAction(number, method, name, target),
                asked.requested() if asked is not None else None,
            )
        del self._unconfirmed[number]

    def confirm_alike(self, number: int, method: str, name: str) -> None:
        """Cross off the action of that number or, if there is none, all of that method and name.

        For what is recorded under a number of the recorder's own. Nothing to cross off is fine.
        Raises NonDeterminismError, and changes nothing, if the number is that of another one.
        """
        asked = self._unconfirmed.get(number)
        if asked is None:
            self._unconfirmed = {
                id: it
                for id, it in self._unconfirmed.items()
                if (it.method, it.name) != (method, name)
            }
        elif (asked.method, asked.name) == (method, name):
            del self._unconfirmed[number]
        else:
            raise NonDeterminismError(RequestedAction(number, method, name), asked.requested())

    def outstanding(self) -> list[Action]:
        """The actions that history does not hold yet, in the order they were asked for."""
        return list(self._unconfirmed.values())
