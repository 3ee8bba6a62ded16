"""How an orchestration ends, and the action that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.failures import JsonEncodeOutputException, to_message
from durabletask.protocol import messages
from durabletask.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.failures import FailureDetails


@dataclass(frozen=True, slots=True)
class Completed:
    """The code returned."""

    result: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The code raised, or could not be run at all."""

    details: FailureDetails


@dataclass(frozen=True, slots=True)
class Terminated:
    """The orchestration was terminated from outside."""

    output: str | None


@dataclass(frozen=True, slots=True)
class Stalled:
    """This worker does not have the code that history names; for the engine it goes on."""


@dataclass(frozen=True, slots=True)
class ContinuedAsNew:
    """The code asked to start over."""

    new_input: str | None
    save_events: bool
    new_version: str | None


Outcome = Completed | Failed | Terminated | ContinuedAsNew | Stalled


def describe(outcome: Outcome | None) -> str:
    """What the code had done by then, as error texts tell it; empty while it goes on."""
    match outcome:
        case None:
            return ""
        case Completed():
            return "returned"
        case Failed(details):
            return f"failed with {details.error_type}: {details.message}"
        case Terminated():
            return "been terminated"
        case ContinuedAsNew():
            return "continued as new"
        case Stalled():
            return "not been found"


def unserializable_result(result: Any, problem: BaseException) -> JsonEncodeOutputException:
    """The error for a result that cannot be serialized, because of that problem."""
    members = result if isinstance(result, (list, tuple)) else [result]
    forgotten = any(isinstance(member, Task) for member in members)
    error = JsonEncodeOutputException(
        "The orchestration result could not be encoded. It is of type "
        f"'{type(result).__qualname__}': {problem}"
        f"{'. Did you forget `yield` or `await`?' if forgotten else ''}"
    )
    error.__cause__ = problem
    return error


def outcome_action(
    id: int, outcome: Outcome, carried: Sequence[messages.HistoryEvent] = ()
) -> messages.OrchestratorAction:
    """The action for that outcome; the events that are `carried` go to the next execution."""
    if isinstance(outcome, Stalled):
        return messages.OrchestratorAction(
            id=id,
            orchestration_version_not_available=messages.OrchestrationVersionNotAvailableAction(),
        )
    return messages.OrchestratorAction(id=id, complete_orchestration=_completion(outcome, carried))


def _completion(
    outcome: Completed | Failed | Terminated | ContinuedAsNew,
    carried: Sequence[messages.HistoryEvent],
) -> messages.CompleteOrchestrationAction:
    status = messages.OrchestrationStatus
    complete = messages.CompleteOrchestrationAction
    match outcome:
        case Completed(result):
            return complete(orchestration_status=status.COMPLETED, result=result)
        case Failed(details):
            return complete(orchestration_status=status.FAILED, failure_details=to_message(details))
        case Terminated(output):
            return complete(orchestration_status=status.TERMINATED, result=output)
        case ContinuedAsNew(new_input, _, new_version):
            return complete(
                orchestration_status=status.CONTINUED_AS_NEW,
                result=new_input,
                new_version=new_version,
                carryover_events=list(carried),
            )
