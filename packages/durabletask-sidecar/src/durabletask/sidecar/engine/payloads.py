"""Which payloads a worker's answer carries, and what becomes of those that are too large.

An answer that was refused would be given again, for ever. So an activity with too large a
result has failed, and so has an orchestration that passes too much on; each is told why.

Knows nothing about instances.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages, oneofs

from . import endings
from . import limits as limits_
from .failure_details import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .commands import CompleteActivity, CompleteTurn
    from .entities.commands import CompleteBatch
    from .limits import Limits

# What a payload is, and the payload.
Named = tuple[str, str | None]

_LIMIT = "payload_bytes"
_ADVICE = "Keep large data in a store of its own and pass a reference to it, or raise the limit."
# The longest that a character is in UTF-8.
_WIDEST = 4


def complaint(payloads: Iterable[Named], limits: Limits) -> str | None:
    """What is wrong with the first that is too large; None when they all will do."""
    limit = limits.payload_bytes
    if limit is None:
        return None
    for what, payload in payloads:
        # To encode each one only to count it would cost every command.
        if payload is None or len(payload) * _WIDEST <= limit:
            continue
        size = len(payload.encode(errors="surrogatepass"))
        if size > limit:
            return limits_.complaint(f"{what} has {size} bytes", limit, _LIMIT, _ADVICE)
    return None


def of_activity(command: CompleteActivity, limits: Limits) -> CompleteActivity:
    """The outcome, or that it was too large."""
    if command.failure is not None:
        return replace(command, failure=within(command.failure, limits))
    found = complaint([("the result of the activity", command.result)], limits)
    return command if found is None else replace(command, result=None, failure=_too_large(found))


def of_turn(command: CompleteTurn, limits: Limits) -> CompleteTurn:
    """The answer, or in its place that the orchestration has failed."""
    status = ("the custom status", command.custom_status)
    found = complaint([status], limits)
    if found is not None:
        # The one there was stays; the new one cannot be kept.
        command = replace(command, custom_status=None, keeps_status=True)
    found = found or complaint(_of_actions(command.actions), limits)
    if found is not None:
        return replace(command, actions=[endings.failing(_too_large(found))])
    if any(_has_failed(each) for each in command.actions):
        short = [_with_short_failure(each, limits) for each in command.actions]
        return replace(command, actions=short)
    return command


def of_batch(command: CompleteBatch, limits: Limits) -> CompleteBatch:
    """The results; those too large have failed, and all have where the state is too large."""
    if command.failure is not None:
        return replace(command, failure=within(command.failure, limits))
    state = ("the state of the entity", command.state)
    found = complaint([state, *_of_operations(command.actions)], limits)
    if found is not None:
        return replace(command, results=(), actions=(), state=None, failure=_too_large(found))
    return replace(command, results=[_result(each, limits) for each in command.results])


def _result(result: messages.OperationResult, limits: Limits) -> messages.OperationResult:
    failure = None
    if result.success is not None:
        found = complaint([("the result of the operation", result.success.result)], limits)
        failure = None if found is None else _too_large(found)
    elif result.failure is not None and result.failure.failure_details is not None:
        failure = within(result.failure.failure_details, limits)
    if failure is None:
        return result
    return messages.OperationResult(
        failure=messages.OperationResultFailure(failure_details=failure)
    )


def within(failure: messages.TaskFailureDetails, limits: Limits) -> messages.TaskFailureDetails:
    """The failure, or when that is too large, the beginning of its text."""
    size = len(codec.encode(failure))
    limit = limits.exceeded(_LIMIT, size)
    if limit is None:
        return failure
    text = limits_.complaint(f"(cut: the failure has {size} bytes", limit, _LIMIT, _ADVICE) + ")"
    return shortened(failure, limit // _WIDEST, text)


def _too_large(text: str) -> messages.TaskFailureDetails:
    return messages.TaskFailureDetails(
        error_type="PayloadTooLarge", error_message=_sentence(text), is_non_retriable=True
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _has_failed(action: messages.OrchestratorAction) -> bool:
    ending = action.complete_orchestration
    return ending is not None and ending.failure_details is not None


def _with_short_failure(
    action: messages.OrchestratorAction, limits: Limits
) -> messages.OrchestratorAction:
    ending = action.complete_orchestration
    if ending is None or ending.failure_details is None:
        return action
    short = replace(ending, failure_details=within(ending.failure_details, limits))
    return replace(action, complete_orchestration=short)


def _of_actions(actions: Sequence[messages.OrchestratorAction]) -> Iterator[Named]:
    for action in actions:
        kind = oneofs.which(action)
        payload = _FIELDS.get(kind)
        if payload is not None:
            yield _named(action.id, kind, getattr(getattr(action, kind), payload))
        elif action.send_entity_message is not None:
            yield _of_message(action.id, action.send_entity_message)
        elif action.complete_orchestration is not None:
            yield from _of_ending(action.complete_orchestration)


_FIELDS = {
    "schedule_task": "input",
    "create_sub_orchestration": "input",
    "create_detached_orchestration": "input",
    "send_event": "data",
    "terminate_orchestration": "reason",
}


def _named(number: int, kind: str, payload: str | None) -> Named:
    return f"the input of action {number} ({kind.replace('_', ' ')})", payload


def _of_message(number: int, message: messages.SendEntityMessageAction) -> Named:
    kind = oneofs.which(message)
    asked: Any = getattr(message, kind) if kind else None
    return _named(number, kind, getattr(asked, "input", None))


def _of_ending(ending: messages.CompleteOrchestrationAction) -> Iterator[Named]:
    again = messages.OrchestrationStatus.CONTINUED_AS_NEW
    what = "input for the next execution" if ending.orchestration_status == again else "output"
    yield f"the {what} of the orchestration", ending.result
    for event in ending.carryover_events:
        if event.event_raised is not None:
            yield f"the carried event {event.event_raised.name!r}", event.event_raised.input


def _of_operations(actions: Sequence[messages.OperationAction]) -> Iterator[Named]:
    for action in actions:
        if action.send_signal is not None:
            yield f"the input of the signal {action.send_signal.name!r}", action.send_signal.input
        start = action.start_new_orchestration
        if start is not None:
            yield f"the input of the orchestration {start.name!r}", start.input
