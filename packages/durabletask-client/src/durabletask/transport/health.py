"""When to give up a channel that seems broken and make another.

gRPC mends its connections by itself; this is for channels that it does not mend, such as
those that wait for an answer of a name server that is gone.

Pure: the time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

_SICK = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@dataclass(slots=True)
class ChannelHealth:
    """Counts failures in a row, over all calls of a channel.

    `threshold` 0 means that a channel is never given up. Between two channels lie at least
    `min_interval` seconds. `has_answered`: there was a sidecar at the other end once.
    """

    threshold: int = 5
    min_interval: float = 30.0
    has_answered: bool = False
    _failures: int = 0
    _renewed_at: float | None = None

    def answered(self) -> None:
        """Take note of an answer, be it a refusal: the channel works."""
        self.has_answered = True
        self._failures = 0

    def is_renewal_due(self, status: str, now: float) -> bool:
        """Take note of a call that failed for good; True means: make another channel."""
        if status not in _SICK:
            self.answered()
            return False
        self._failures += 1
        if not 0 < self.threshold <= self._failures or self._rests(now):
            return False
        self._renewed_at = now
        self._failures = 0
        return True

    def _rests(self, now: float) -> bool:
        return self._renewed_at is not None and now - self._renewed_at < self.min_interval
