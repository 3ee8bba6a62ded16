"""What an activity is told about the call it serves."""

from __future__ import annotations


class ActivityContext:
    """Handed to an activity as its first argument."""

    __module__ = "durabletask.task"

    def __init__(self, orchestration_id: str, task_id: int) -> None:
        self._orchestration_id = orchestration_id
        self._task_id = task_id

    @property
    def orchestration_id(self) -> str:
        """Id of the orchestration instance that called."""
        return self._orchestration_id

    @property
    def task_id(self) -> int:
        """Number of this call within its orchestration instance; retries share it."""
        return self._task_id
