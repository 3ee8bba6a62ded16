"""The error for code that no longer does what its history says it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from durabletask.failures.errors import DurableTaskError


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """One thing an orchestrator asked for: `call_activity('greet') with ID=3`.

    `method` is the context method by which it asks, `name` what it called or raised (empty
    for timers), `target` the instance or entity it addressed, if any.
    """

    id: int
    method: str
    name: str = ""
    target: str = ""

    def __str__(self) -> str:
        name = f"'{self.name}'" if self.name else ""
        target = f"to '{self.target}'" if self.target else ""
        return f"{self.method}({' '.join(filter(None, (name, target)))}) with ID={self.id}"


class NonDeterminismError(DurableTaskError):
    """The orchestrator asked for something other than its history records.

    `expected` is what history holds, `actual` is what the code asked for under that number
    now (None when it asked for nothing). `ended` says how the code had come to its end by
    then, as in "returned"; it is empty if the code went on.
    """

    __module__ = "durabletask.task"

    def __init__(
        self, expected: RequestedAction, actual: RequestedAction | None = None, ended: str = ""
    ) -> None:
        self.expected = expected
        self.actual = actual
        self.ended = ended
        super().__init__(
            f"history records {expected}, but during replay the code {self._did()}. Did the orchestrator change while this "
            "instance was running, or does it decide by something that is not in its history? "
            "Check that it takes time, ids and randomness from its context, does no I/O of its "
            "own, and that changed code is deployed under a new name or version."
        )

    def _did(self) -> str:
        if self.actual is not None:
            return f"asked for {self.actual}"
        if self.ended:
            return f"had already {self.ended}"
        return f"asked for nothing with ID={self.expected.id}"

    # Pickle rebuilds exceptions from args, which hold only the message.
    def __reduce__(self) -> tuple[type[Self], tuple[RequestedAction, RequestedAction | None, str]]:
        return (type(self), (self.expected, self.actual, self.ended))
