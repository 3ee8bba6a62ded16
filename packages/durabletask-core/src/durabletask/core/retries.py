"""Whether a failed call is made again, and when.

Judged by the orchestration's own clock, never by the wall's: a replay next year has to come
to the same answer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.task import RetryPolicy


class Retry:
    """How far a call has got with its policy."""

    __slots__ = ("_attempts", "_called_at", "_policy")

    def __init__(self, policy: RetryPolicy, called_at: datetime) -> None:
        self._policy = policy
        self._called_at = called_at
        self._attempts = 0

    def delay_after_failure(self, now: datetime) -> timedelta | None:
        """Count a failed attempt; how long to wait before the next, None to give up."""
        self._attempts += 1
        if self._attempts >= self._policy.max_number_of_attempts:
            return None
        timeout = self._policy.retry_timeout
        if timeout is not None and now - self._called_at >= timeout:
            return None
        return delay_after(self._attempts, self._policy)


def delay_after(attempt: int, policy: RetryPolicy) -> timedelta:
    """The wait after that attempt, counted from 1, has failed."""
    longest = policy.max_retry_interval
    coefficient = policy.backoff_coefficient or 1.0
    try:
        # Any kind of number may have been given, but only a float stretches every span.
        delay = policy.first_retry_interval * float(coefficient) ** (attempt - 1)
    except OverflowError:
        delay = timedelta.max
    return delay if longest is None else min(delay, longest)
