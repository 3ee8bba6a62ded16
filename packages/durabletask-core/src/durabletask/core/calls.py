"""Activities and children that have been called and have not answered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask.core import arguments
from durabletask.core.retries import Retry
from durabletask.failures import FailureDetails
from durabletask.task import CompletableTask, RetryableTask, RetryPolicy

if TYPE_CHECKING:
    from durabletask.core.actions import CallAction
    from durabletask.core.determinism import ReplayClock
    from durabletask.core.foresight import Foresight
    from durabletask.core.ledger import Ledger
    from durabletask.core.timers import Timers
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter

# durabletask-go tells a parent nothing about a child that was terminated.
_UNTOLD = FailureDetails(
    message="it ended without a result and without telling why; it may have been terminated",
    error_type="",
    stack_trace=None,
)


class Call:
    """A call with the task that waits for it.

    `execution_id` is what its answers bear, where the engine has it.
    """

    __slots__ = ("action", "execution_id", "result_type", "retry", "task")

    def __init__(
        self,
        action: CallAction,
        result_type: Any,
        task: CompletableTask[Any],
        retry: Retry | None = None,
    ) -> None:
        self.action = action
        self.execution_id = action.execution_id
        self.result_type = result_type
        self.task = task
        self.retry = retry


class Calls:
    """The unanswered calls of one kind; `failure_prefix` begins the text of their failures.

    With `unique_numbers` each attempt of a call has a number of its own, unless history
    records that it was otherwise.
    """

    __slots__ = (
        "_clock",
        "_converter",
        "_failure_prefix",
        "_foresight",
        "_ledger",
        "_timers",
        "_unanswered",
        "_unique_numbers",
    )

    def __init__(
        self,
        ledger: Ledger,
        clock: ReplayClock,
        timers: Timers,
        foresight: Foresight,
        *,
        converter: DataConverter,
        failure_prefix: str,
        unique_numbers: bool,
    ) -> None:
        self._foresight = foresight
        self._unique_numbers = unique_numbers
        self._ledger = ledger
        self._clock = clock
        self._timers = timers
        self._converter = converter
        self._failure_prefix = failure_prefix
        self._unanswered: dict[int, Call] = {}

    def start(
        self, action: CallAction, result_type: Any, policy: RetryPolicy | None
    ) -> CompletableTask[Any]:
        """Ask for the call; the task completes with its answer, after retries if need be."""
        if policy is None:
            call = Call(action, result_type, CompletableTask())
        else:
            arguments.instance_of(RetryPolicy, policy, "retry_policy")
            retry = Retry(policy, self._clock.now)
            call = Call(action, result_type, RetryableTask(policy), retry)
        self._ask(call)
        return call.task

    def recorded(self, number: int, execution_id: str) -> None:
        """Expect the answers to the call of that number to bear what history has."""
        if execution_id and (call := self._unanswered.get(number)) is not None:
            call.execution_id = execution_id

    def complete(self, number: int, result: str | None, execution_id: str = "") -> bool:
        """Hand the result over; False if nobody waits for that number."""
        call = self._answered(number, execution_id)
        if call is None:
            return False
        hand_over(call.task, result, call.result_type, self._converter)
        return True

    def fail(
        self, number: int, details: messages.TaskFailureDetails | None, execution_id: str = ""
    ) -> bool:
        """Call again later or hand the failure over; False if nobody waits for that number."""
        call = self._answered(number, execution_id)
        if call is None:
            return False
        now = self._clock.now
        delay = call.retry.delay_after_failure(now) if call.retry is not None else None
        if delay is not None:
            # While the timer runs nobody waits for the number: late answers are ignored.
            self._timers.start(
                self._clock.after(delay), partial(self._ask_again, call), call.action.retry_origin
            )
        else:
            self._give_up(call, details)
        return True

    def _answered(self, number: int, execution_id: str) -> Call | None:
        call = self._unanswered.get(number)
        if call is None:
            return None
        if execution_id and call.execution_id and execution_id != call.execution_id:
            # Of an execution before this one: durabletask-go delivers it to the next.
            return None
        return self._unanswered.pop(number)

    def _ask_again(self, call: Call) -> None:
        if self._is_renumbered(call.action):
            call.action = call.action.under(self._ledger.next_number())
        self._ask(call)

    def _is_renumbered(self, action: CallAction) -> bool:
        """Whether the next attempt has another number: as history has it, else the engine."""
        is_recorded = self._foresight.records
        if is_recorded(action.method, action.id, action.name):
            return False
        if is_recorded(action.method, self._ledger.upcoming, action.name):
            return True
        return self._unique_numbers

    def _ask(self, call: Call) -> None:
        self._unanswered[call.action.id] = call
        self._ledger.ask(call.action)

    def _give_up(self, call: Call, details: messages.TaskFailureDetails | None) -> None:
        told = details.error_message if details is not None else _UNTOLD.message
        call.task.fail(
            f"{self._failure_prefix} task #{call.action.id} failed: {told}", details or _UNTOLD
        )


def hand_over(
    task: CompletableTask[Any], content: str | None, wanted: Any, converter: DataConverter
) -> None:
    """Complete the task with what the text holds, or fail it if that cannot be read."""
    try:
        value = converter.deserialize(content, wanted)
    except BaseException as error:  # noqa: BLE001  # the waiting code's to handle
        task.fail_with(error)
    else:
        task.complete(value)
