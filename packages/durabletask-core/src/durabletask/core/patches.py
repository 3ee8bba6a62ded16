"""Which patches this run of an orchestration has taken, and which code takes it.

A patch is taken if an earlier turn has taken it, or if the place where the code asks is
reached for the first time. An engine records the answers with the turn; a replay, which comes
through a place that it passed before, finds them there.

Knows nothing about engines that do not record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durabletask.protocol import messages


class Patches:
    """What history tells about the code, and what the code was told about its patches."""

    __slots__ = ("_answers", "_recorded", "_taken", "version_name")

    def __init__(self) -> None:
        self.version_name: str | None = None
        self._recorded: set[str] = set()
        self._answers: dict[str, bool] = {}
        self._taken: list[str] = []

    def learn(self, version: messages.OrchestrationVersion) -> None:
        """Take what history records with a turn, before the turn is replayed."""
        self.version_name = version.name or self.version_name
        self._recorded.update(version.patches)

    def is_on(self, name: str, *, replaying: bool) -> bool:
        """Whether the code is to take the new side of that patch; the same once and for all."""
        answer = self._answers.setdefault(name, name in self._recorded or not replaying)
        if answer:
            # Each time, and not once: Dapr's SDKs write it so, and an engine may compare.
            self._taken.append(name)
        return answer

    @property
    def taken(self) -> tuple[str, ...]:
        """The patches whose new side the code took, as often as it did."""
        return tuple(self._taken)
