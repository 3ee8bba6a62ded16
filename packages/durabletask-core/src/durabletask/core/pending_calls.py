"""Activities and sub-orchestrations that have been called and have not answered.

Whether a failed call is retried, and when, is decided by the orchestration's own clock, never
by the machine's: a replay next year has to come to the same answer.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask.core import arguments
from durabletask.core.failed_attempts import FailedAttempt
from durabletask.failures import FailureDetails
from durabletask.task import CompletableTask, RetryableTask, RetryPolicy

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.core.actions import Action
    from durabletask.core.determinism import ReplayClock
    from durabletask.core.history_lookahead import HistoryLookahead
    from durabletask.core.pending_actions import PendingActions
    from durabletask.core.timers import Timers
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter

# durabletask-go reports nothing about a child that was terminated.
_NO_DETAILS = FailureDetails(
    message="no failure details were reported; it may have been terminated",
    error_type="",
    stack_trace=None,
)


class RetryState:
    """The attempts that a call has made of those that its policy allows."""

    __slots__ = ("_attempts", "_called_at", "_policy")

    def __init__(self, policy: RetryPolicy, called_at: datetime) -> None:
        self._policy = policy
        self._called_at = called_at
        self._attempts = 0

    @property
    def attempts(self) -> int:
        """How many attempts have failed."""
        return self._attempts

    @property
    def max_attempts(self) -> int:
        """How many attempts the policy allows."""
        return self._policy.max_number_of_attempts

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
    """The delay after that attempt, counted from 1, has failed."""
    longest = policy.max_retry_interval
    coefficient = policy.backoff_coefficient or 1.0
    try:
        # Any kind of number may have been given, but only a float multiplies every span.
        delay = policy.first_retry_interval * float(coefficient) ** (attempt - 1)
    except OverflowError:
        delay = timedelta.max
    return delay if longest is None else min(delay, longest)


class PendingCall:
    """A call with the task that waits for it.

    `execution_id` is the task execution id that its answers bear, where the engine has one.
    """

    __slots__ = ("action", "execution_id", "result_type", "retry", "task")

    def __init__(
        self,
        action: Action,
        result_type: Any,
        task: CompletableTask[Any],
        retry: RetryState | None = None,
    ) -> None:
        self.action = action
        self.execution_id = action.call_id
        self.result_type = result_type
        self.task = task
        self.retry = retry


class PendingCalls:
    """The unanswered calls of one kind; `failure_prefix` begins the text of their failures.

    `failed_attempts` are those of calls with a retry policy, until somebody takes them out. With
    `unique_ids` each attempt of a call has an id of its own, unless history records
    that it was otherwise.
    """

    __slots__ = (
        "_by_id",
        "_clock",
        "_converter",
        "_failure_prefix",
        "_lookahead",
        "_pending_actions",
        "_timers",
        "_unique_ids",
        "failed_attempts",
    )

    def __init__(
        self,
        pending_actions: PendingActions,
        clock: ReplayClock,
        timers: Timers,
        lookahead: HistoryLookahead,
        *,
        converter: DataConverter,
        failure_prefix: str,
        unique_ids: bool,
    ) -> None:
        self._pending_actions = pending_actions
        self._clock = clock
        self._timers = timers
        self._lookahead = lookahead
        self._converter = converter
        self._failure_prefix = failure_prefix
        self._unique_ids = unique_ids
        self._by_id: dict[int, PendingCall] = {}
        self.failed_attempts: list[FailedAttempt] = []

    def start(
        self, action: Action, result_type: Any, policy: RetryPolicy | None
    ) -> CompletableTask[Any]:
        """Make the call; the task completes with its answer, after retries if need be."""
        if policy is None:
            call = PendingCall(action, result_type, CompletableTask())
        else:
            arguments.instance_of(RetryPolicy, policy, "retry_policy")
            retry = RetryState(policy, self._clock.now)
            call = PendingCall(action, result_type, RetryableTask(policy), retry)
        self._attempt(call)
        return call.task

    def expect_execution_id(self, id: int, execution_id: str) -> None:
        """Expect the answers to that call to bear the task execution id that history has."""
        if execution_id and (call := self._by_id.get(id)) is not None:
            call.execution_id = execution_id

    def expect_instance_id(self, id: int, instance_id: str) -> None:
        """Retry that sub-orchestration under the instance id that history has.

        The engine gives a child another id where an unrelated instance has the one asked for.
        """
        call = self._by_id.get(id)
        if call is not None and instance_id and instance_id != call.action.call_id:
            call.action = call.action.with_instance_id(instance_id)

    def complete(self, id: int, result: str | None, execution_id: str = "") -> bool:
        """Complete the call's task with the result; False if no task waits for that id."""
        call = self._take(id, execution_id)
        if call is None:
            return False
        complete_task(call.task, result, call.result_type, self._converter)
        return True

    def fail(
        self, id: int, details: messages.TaskFailureDetails | None, execution_id: str = ""
    ) -> bool:
        """Retry the call later or fail its task; False if no task waits for that id."""
        call = self._take(id, execution_id)
        if call is None:
            return False
        delay = None if call.retry is None else self._count_failure(call, call.retry, details)
        if delay is not None:
            # While the timer runs the id is not pending: late answers are ignored.
            self._timers.start(
                self._clock.after(delay), partial(self._retry, call), call.action.retry_origin
            )
        else:
            self._give_up(call, details)
        return True

    def _count_failure(
        self, call: PendingCall, retry: RetryState, details: messages.TaskFailureDetails | None
    ) -> timedelta | None:
        """How long to wait before the next attempt, None to give up; remembers why."""
        delay = retry.delay_after_failure(self._clock.now)
        reason = (
            _NO_DETAILS.message
            if details is None
            else f"{details.error_type}: {details.error_message}"
        )
        self.failed_attempts.append(
            FailedAttempt(call.action, retry.attempts, retry.max_attempts, reason, delay)
        )
        return delay

    def _take(self, id: int, execution_id: str) -> PendingCall | None:
        call = self._by_id.get(id)
        if call is None:
            return None
        if execution_id and call.execution_id and execution_id != call.execution_id:
            # An answer to an earlier execution: durabletask-go delivers it to the next one.
            return None
        return self._by_id.pop(id)

    def _retry(self, call: PendingCall) -> None:
        if self._gets_new_id(call.action):
            call.action = call.action.with_id(self._pending_actions.next_id())
        self._attempt(call)

    def _gets_new_id(self, action: Action) -> bool:
        """Whether the next attempt has another id: as history has it, else as the engine needs."""
        has_call = self._lookahead.has_call
        if has_call(action.kind, action.id, action.name):
            return False
        if has_call(action.kind, self._pending_actions.upcoming_id, action.name):
            return True
        return self._unique_ids

    def _attempt(self, call: PendingCall) -> None:
        self._by_id[call.action.id] = call
        self._pending_actions.add(call.action)

    def _give_up(self, call: PendingCall, details: messages.TaskFailureDetails | None) -> None:
        reason = details.error_message if details is not None else _NO_DETAILS.message
        call.task.fail(
            f"{self._failure_prefix} task #{call.action.id} failed: {reason}",
            details or _NO_DETAILS,
        )


def complete_task(
    task: CompletableTask[Any], content: str | None, wanted: Any, converter: DataConverter
) -> None:
    """Complete the task with the value of the text, or fail it if that cannot be read."""
    try:
        value = converter.deserialize(content, wanted)
    except BaseException as error:  # noqa: BLE001  # the waiting code's to handle
        task.fail_with(error)
    else:
        task.complete(value)
