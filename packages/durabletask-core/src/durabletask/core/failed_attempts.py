"""Failed attempts of calls that have a retry policy, as they are logged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.core.actions import CALL_ACTIVITY

if TYPE_CHECKING:
    from datetime import timedelta

    from durabletask.core.actions import Action


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed, counted from 1; `delay` is None if no other will follow."""

    action: Action
    attempt: int
    max_attempts: int
    reason: str
    delay: timedelta | None

    @property
    def level(self) -> int:
        """The level to log it at, one of `logging`'s."""
        return logging.WARNING if self.delay is None else logging.INFO

    @property
    def predicate(self) -> str:
        """What the orchestration does about it, without its subject."""
        called = f"{self._called} '{self.action.name}' (task #{self.action.id})"
        failed = f"attempt {self.attempt} of {self.max_attempts} failed with {self.reason}"
        if self.delay is not None:
            return f"retries {called} in {self.delay}: {failed}"
        is_early = self.attempt < self.max_attempts
        return f"gives up {called}: {failed}{', and retry_timeout is over' if is_early else ''}"

    @property
    def fields(self) -> dict[str, object]:
        """The fields to log with it; `delay` is in seconds."""
        fields: dict[str, object] = {
            "kind": self._kind,
            "task_name": self.action.name,
            "task_id": self.action.id,
            "attempt": self.attempt,
        }
        return fields if self.delay is None else fields | {"delay": self.delay.total_seconds()}

    @property
    def _is_activity(self) -> bool:
        return self.action.kind == CALL_ACTIVITY

    @property
    def _called(self) -> str:
        return "activity" if self._is_activity else "sub-orchestration"

    @property
    def _kind(self) -> str:
        # As the logs of worker and sidecar call the kinds of work items.
        return "activity" if self._is_activity else "orchestration"
