"""What an activity is told about the call it serves."""

from __future__ import annotations


class ActivityContext:
    """Handed to an activity as its first argument."""

    __module__ = "durabletask.task"

    def __init__(
        self, orchestration_id: str, task_id: int, *, task_execution_id: str | None = None
    ) -> None:
        self._orchestration_id = orchestration_id
        self._task_execution_id = task_execution_id
        self._task_id = task_id

    @property
    def orchestration_id(self) -> str:
        """Id of the orchestration instance that called."""
        return self._orchestration_id

    @property
    def task_id(self) -> int:
        """Number of this call within its orchestration instance.

        Retries share it, except on engines of Dapr's dialect, where each has its own.
        """
        return self._task_id

    @property
    def task_execution_id(self) -> str | None:
        """An id that all attempts of this call share and no other call has.

        Good as a key by which another system recognizes what it has done already. None on
        engines that do not tell it: those of Dapr's dialect do.
        """
        return self._task_execution_id
