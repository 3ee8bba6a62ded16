"""What the inner parts of the sidecar report: counts and times, and failures that repeat.

`Instrumentation` is called as things happen. An implementation returns at once, raises
nothing and changes nothing. Unless metrics are published it is `NO_INSTRUMENTATION`. The kind
of a work item is "orchestration", "activity" or "entity".

`FailureLog` logs a failure of the store once, and its end once. Each commit fails while the
disk is full, and workers repeat what failed: one line for each would fill the log, which may
be on the same disk.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from .engine.commands import CompleteActivity, CompleteTurn
    from .engine.entities.commands import CompleteBatch

    Completion = CompleteTurn | CompleteActivity | CompleteBatch

_log = logging.getLogger("durabletask.sidecar")

# How many different failures are logged while they last.
_MAX_TEXTS = 10
# How many keys are remembered; the oldest is forgotten first.
_MAX_KEYS = 1000


class Instrumentation(Protocol):
    """Is told what the sidecar does."""

    def ticks(self) -> float:
        """A monotonic time in seconds, to be passed as `started` later."""
        ...

    def rpc_finished(self, method: str, status: str, started: float) -> None:
        """A call of this method ended with this status."""
        ...

    def commit_finished(self, submissions: int, started: float) -> None:
        """One transaction stored this many submissions."""
        ...

    def commit_failed(self) -> None:
        """A transaction was not stored."""
        ...

    def work_completed(self, kind: str, completion: Completion) -> None:
        """A worker's completion of a work item is stored."""
        ...

    def work_abandoned(self, kind: str) -> None:
        """A worker abandoned a work item."""
        ...

    def work_lost(self, kind: str) -> None:
        """A worker disconnected before it completed a work item."""
        ...


class NoInstrumentation:
    """Ignores all reports."""

    def ticks(self) -> float:
        return 0.0

    def rpc_finished(self, method: str, status: str, started: float) -> None:
        pass

    def commit_finished(self, submissions: int, started: float) -> None:
        pass

    def commit_failed(self) -> None:
        pass

    def work_completed(self, kind: str, completion: Completion) -> None:
        pass

    def work_abandoned(self, kind: str) -> None:
        pass

    def work_lost(self, kind: str) -> None:
        pass


NO_INSTRUMENTATION = NoInstrumentation()


@dataclass(frozen=True, slots=True)
class WorkStats:
    """How many work items and streams there are at one moment."""

    waiting: Mapping[str, int]
    """Work items that no worker has."""
    leased: Mapping[str, int]
    """Work items that a worker has."""
    streams: int
    """Connected workers."""


class FailureLog:
    """Logs the failures of one operation of the store, which `operation` names as a verb.

    Each distinct text is logged once for as long as it fails for any key.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._failing: dict[Hashable, str] = {}
        self._keys_by_text: Counter[str] = Counter()

    @property
    def is_failing(self) -> bool:
        """Whether some key failed and has not recovered since."""
        return bool(self._failing)

    def record(
        self, error: Exception, key: Hashable = None, fields: Mapping[str, str | int] | None = None
    ) -> None:
        """Log the failure with these fields, unless the same one is logged already.

        An error that is no StoreError is a defect: it is logged each time, with its traceback.
        """
        if not isinstance(error, StoreError):
            _log.error("Cannot %s", self._operation, exc_info=error, extra=fields)
            return
        text = str(error)
        if self._failing.get(key) == text:
            return
        self._forget(key)
        if len(self._failing) == _MAX_KEYS:
            self._forget(next(iter(self._failing)))
        self._failing[key] = text
        self._keys_by_text[text] += 1
        if self._keys_by_text[text] == 1 and len(self._keys_by_text) <= _MAX_TEXTS:
            _log.error("Cannot %s: %s", self._operation, text, extra=fields)

    def recovered(self, *keys: Hashable) -> None:
        """Forget the failures of these keys; log the recovery once none is left."""
        if not self._failing:
            return
        for key in keys:
            self._forget(key)
        if not self._failing:
            _log.warning("The store works again: it can %s", self._operation)

    def _forget(self, key: Hashable) -> None:
        text = self._failing.pop(key, None)
        if text is None:
            return
        self._keys_by_text[text] -= 1
        if not self._keys_by_text[text]:
            # Without its entry, the next failure with this text is logged again.
            del self._keys_by_text[text]
