"""Which patches an execution has taken, and which version of the code runs it.

A patch is taken if an earlier turn has taken it, or if the code asks for it for the first time
in this turn. The engine records with each turn the patches that were taken; a replay takes
those again, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durabletask.protocol import messages


class Patches:
    """The version and the patches that history records, and those that the code has taken."""

    __slots__ = ("_answers", "_recorded", "_taken", "version_name")

    def __init__(self) -> None:
        self.version_name: str | None = None
        self._recorded: set[str] = set()
        self._answers: dict[str, bool] = {}
        self._taken: list[str] = []

    def add_recorded(self, version: messages.OrchestrationVersion) -> None:
        """Add what history records with a turn, before the turn is replayed."""
        self.version_name = version.name or self.version_name
        self._recorded.update(version.patches)

    def is_on(self, name: str, *, replaying: bool) -> bool:
        """Whether the code is to take that patch; the answer never changes within an execution."""
        answer = self._answers.setdefault(name, name in self._recorded or not replaying)
        if answer:
            # Each time, not once: so do Dapr's SDKs, and an engine may compare.
            self._taken.append(name)
        return answer

    @property
    def taken(self) -> tuple[str, ...]:
        """The patches that the code took, as often as it asked for them."""
        return tuple(self._taken)
