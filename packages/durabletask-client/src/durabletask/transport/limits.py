"""How long a transport keeps trying: its default limits, and when it gives up a channel.

gRPC reconnects by itself; a channel is replaced where it does not, such as one that waits for
the answer of a name server that is gone. Does no I/O: the time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TIMEOUT = 30.0
"""Seconds that a unary call may take when its caller does not say: no call waits for ever."""

DEFAULT_PATIENCE = 0.8
"""Seconds for which a failed call is repeated, so that an unreachable address fails in one."""

_FAILURES = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@dataclass(slots=True)
class ChannelHealth:
    """Counts failures in a row, over all calls of a channel.

    `threshold` 0 means that a channel is never given up. Between two channels lie at least
    `min_interval` seconds. `has_answered` is True once any sidecar has answered.
    """

    threshold: int = 5
    min_interval: float = 30.0
    has_answered: bool = False
    _failures: int = 0
    _renewed_at: float | None = None

    def answered(self) -> None:
        """Record an answer, be it a refusal: the channel works."""
        self.has_answered = True
        self._failures = 0

    def is_renewal_due(self, status: str, now: float) -> bool:
        """Record a call that failed for good; True means: make another channel."""
        if status not in _FAILURES:
            self.answered()
            return False
        self._failures += 1
        if not 0 < self.threshold <= self._failures or self._was_just_renewed(now):
            return False
        self._renewed_at = now
        self._failures = 0
        return True

    def _was_just_renewed(self, now: float) -> bool:
        return self._renewed_at is not None and now - self._renewed_at < self.min_interval


# A proxy that waits for the end of a stream of requests answers none of them.
_NEVER_OPENED = ("UNIMPLEMENTED", "DEADLINE_EXCEEDED")


@dataclass(slots=True)
class Openings:
    """When a channel's batch stream is opened again after it failed.

    Until then calls are made one by one, so nothing waits for it.
    """

    pause: float = 1.0
    is_given_up: bool = False
    _not_before: float = 0.0

    def is_due(self, now: float) -> bool:
        """Whether to open a stream now."""
        return not self.is_given_up and now >= self._not_before

    def failed(self, status: str, now: float, *, was_open: bool) -> bool:
        """Record the end of a stream; True means that none is opened any more."""
        self._not_before = now + self.pause
        self.is_given_up = not was_open and status in _NEVER_OPENED
        return self.is_given_up
