"""How often and how soon a failed call is retried."""

from __future__ import annotations

from datetime import timedelta

_NOTHING = timedelta(0)


class RetryPolicy:
    """When to retry a failed activity or sub-orchestration.

    Attempts count from the first call. Attempt k+1 starts
    `first_retry_interval * backoff_coefficient ** (k - 1)` after attempt k failed, at most
    `max_retry_interval` after. A failure that comes `retry_timeout` or longer after the call
    was made, by the orchestration's own clock, is final; None means no limit. A delay that
    began before is not cut short, so the last attempt may start later than that.

    Example:
        policy = RetryPolicy(
            first_retry_interval=timedelta(seconds=1),
            max_number_of_attempts=5,
            backoff_coefficient=2.0,
        )
        receipt = await ctx.call_activity(charge, input=order, retry_policy=policy)
    """

    __module__ = "durabletask.task"
    __slots__ = (
        "_backoff_coefficient",
        "_first_retry_interval",
        "_max_number_of_attempts",
        "_max_retry_interval",
        "_retry_timeout",
    )

    def __init__(
        self,
        *,
        first_retry_interval: timedelta,
        max_number_of_attempts: int,
        backoff_coefficient: float | None = 1.0,
        max_retry_interval: timedelta | None = None,
        retry_timeout: timedelta | None = None,
    ) -> None:
        if first_retry_interval < _NOTHING:
            raise ValueError("first_retry_interval must be >= 0")
        if max_number_of_attempts < 1:
            raise ValueError("max_number_of_attempts must be >= 1")
        # Not `< 1`, which is False for NaN.
        if backoff_coefficient is not None and not backoff_coefficient >= 1:
            raise ValueError("backoff_coefficient must be >= 1")
        if max_retry_interval is not None and max_retry_interval < _NOTHING:
            raise ValueError("max_retry_interval must be >= 0")
        if retry_timeout is not None and retry_timeout < _NOTHING:
            raise ValueError("retry_timeout must be >= 0")
        self._first_retry_interval = first_retry_interval
        self._max_number_of_attempts = max_number_of_attempts
        self._backoff_coefficient = backoff_coefficient
        self._max_retry_interval = max_retry_interval
        self._retry_timeout = retry_timeout

    @property
    def first_retry_interval(self) -> timedelta:
        """The delay between the first failure and the second attempt."""
        return self._first_retry_interval

    @property
    def max_number_of_attempts(self) -> int:
        """The highest number of attempts, the first call included."""
        return self._max_number_of_attempts

    @property
    def backoff_coefficient(self) -> float | None:
        """The factor by which the delay grows from attempt to attempt; None means 1."""
        return self._backoff_coefficient

    @property
    def max_retry_interval(self) -> timedelta | None:
        """The longest delay between attempts; None means no limit."""
        return self._max_retry_interval

    @property
    def retry_timeout(self) -> timedelta | None:
        """How long after the call a failure may still be retried; None means no limit."""
        return self._retry_timeout
