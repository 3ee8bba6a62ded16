"""Enforce the limit of payloads: inputs, outputs, events, custom statuses and states.

A worker's response is never refused, since the worker would send it again for ever. An
activity whose result is too large fails instead, and so does an orchestration that sends too
large a payload; the failure says which payload it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages, oneofs

from . import limits as limits_
from .failure_details import fail_orchestration, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .commands import CompleteActivity, CompleteTurn
    from .entities.commands import CompleteBatch
    from .limits import Limits

# What the payload is, in words, and the payload.
Named = tuple[str, str | None]

_LIMIT = "payload_bytes"
_ADVICE = "Keep large data in a store of its own and pass a reference to it, or raise the limit."
# Bytes of the longest character in UTF-8.
_MAX_CHARACTER_BYTES = 4


def payload_error(payloads: Iterable[Named], limits: Limits) -> str | None:
    """The error of the first payload that is too large; None when none is."""
    limit = limits.payload_bytes
    if limit is None:
        return None
    for what, payload in payloads:
        if payload is None or _is_short(payload, limit):
            continue
        size = len(payload.encode(errors="surrogatepass"))
        if size > limit:
            return limits_.error_text(f"{what} has {size} bytes", limit, _LIMIT, _ADVICE)
    return None


def _is_short(payload: str, limit: int) -> bool:
    """Whether it is within the limit whatever its characters: then it need not be encoded."""
    return len(payload) * _MAX_CHARACTER_BYTES <= limit


def limit_activity(command: CompleteActivity, limits: Limits) -> CompleteActivity:
    """The outcome, or in its place the failure that it was too large."""
    if command.failure is not None:
        return replace(command, failure=limit_failure(command.failure, limits))
    if command.result is None:
        return command
    error = payload_error([("the result of the activity", command.result)], limits)
    return command if error is None else replace(command, result=None, failure=_too_large(error))


def limit_turn(command: CompleteTurn, limits: Limits) -> CompleteTurn:
    """The response, or in its place the failure of the orchestration."""
    limit = limits.payload_bytes
    if limit is None:
        return command
    error = payload_error([("the custom status", command.custom_status)], limits)
    if error is not None:
        # The present status stays, since the new one cannot be stored.
        command = replace(command, custom_status=None, keeps_status=True)
        return _fail_turn(command, error)
    limited: dict[int, messages.OrchestratorAction] = {}
    for index, action in enumerate(command.actions):
        if _has_short_input(action, limit):
            continue
        error = payload_error(_payloads_of_action(action), limits)
        if error is not None:
            return _fail_turn(command, error)
        short = _with_limited_failure(action, limits)
        if short is not action:
            limited[index] = short
    if not limited:
        return command
    actions = [limited.get(index, action) for index, action in enumerate(command.actions)]
    return replace(command, actions=actions)


def _has_short_input(action: messages.OrchestratorAction, limit: int) -> bool:
    """Whether it is the call of an activity with a short input, as most actions are."""
    task = action.schedule_task
    return task is not None and (task.input is None or _is_short(task.input, limit))


def _fail_turn(command: CompleteTurn, error: str) -> CompleteTurn:
    return replace(command, actions=[fail_orchestration(_too_large(error))])


def limit_batch(command: CompleteBatch, limits: Limits) -> CompleteBatch:
    """The results, with a failure in the place of each that is too large.

    When the state or the input of an action is too large, all operations fail.
    """
    if command.failure is not None:
        return replace(command, failure=limit_failure(command.failure, limits))
    state = ("the state of the entity", command.state)
    error = payload_error([state, *_payloads_of_operations(command.actions)], limits)
    if error is not None:
        return replace(command, results=(), actions=(), state=None, failure=_too_large(error))
    return replace(command, results=[_limit_result(each, limits) for each in command.results])


def _limit_result(result: messages.OperationResult, limits: Limits) -> messages.OperationResult:
    failure = None
    if result.success is not None:
        error = payload_error([("the result of the operation", result.success.result)], limits)
        failure = None if error is None else _too_large(error)
    elif result.failure is not None and result.failure.failure_details is not None:
        failure = limit_failure(result.failure.failure_details, limits)
    if failure is None:
        return result
    return messages.OperationResult(
        failure=messages.OperationResultFailure(failure_details=failure)
    )


def limit_failure(
    failure: messages.TaskFailureDetails, limits: Limits
) -> messages.TaskFailureDetails:
    """The failure, or when it is too large, the beginning of its text."""
    size = len(codec.encode(failure))
    limit = limits.exceeded(_LIMIT, size)
    if limit is None:
        return failure
    text = limits_.error_text(f"(cut: the failure has {size} bytes", limit, _LIMIT, _ADVICE) + ")"
    return shorten(failure, limit // _MAX_CHARACTER_BYTES, text)


def _too_large(text: str) -> messages.TaskFailureDetails:
    return messages.TaskFailureDetails(
        error_type="PayloadTooLarge", error_message=_sentence(text), is_non_retriable=True
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _with_limited_failure(
    action: messages.OrchestratorAction, limits: Limits
) -> messages.OrchestratorAction:
    ending = action.complete_orchestration
    if ending is None or ending.failure_details is None:
        return action
    short = replace(ending, failure_details=limit_failure(ending.failure_details, limits))
    return replace(action, complete_orchestration=short)


def _payloads_of_action(action: messages.OrchestratorAction) -> Iterator[Named]:
    kind = oneofs.which(action)
    payload = _FIELDS.get(kind)
    if payload is not None:
        yield _named(action.id, kind, getattr(getattr(action, kind), payload))
    elif action.send_entity_message is not None:
        yield _payload_of_message(action.id, action.send_entity_message)
    elif action.complete_orchestration is not None:
        yield from _payloads_of_completion(action.complete_orchestration)


_FIELDS = {
    "schedule_task": "input",
    "create_sub_orchestration": "input",
    "create_detached_orchestration": "input",
    "send_event": "data",
    "terminate_orchestration": "reason",
}


def _named(number: int, kind: str, payload: str | None) -> Named:
    return f"the input of action {number} ({kind.replace('_', ' ')})", payload


def _payload_of_message(number: int, message: messages.SendEntityMessageAction) -> Named:
    kind = oneofs.which(message)
    asked: Any = getattr(message, kind) if kind else None
    return _named(number, kind, getattr(asked, "input", None))


def _payloads_of_completion(ending: messages.CompleteOrchestrationAction) -> Iterator[Named]:
    again = messages.OrchestrationStatus.CONTINUED_AS_NEW
    what = "input for the next execution" if ending.orchestration_status == again else "output"
    yield f"the {what} of the orchestration", ending.result
    for event in ending.carryover_events:
        if event.event_raised is not None:
            yield f"the carried event {event.event_raised.name!r}", event.event_raised.input


def _payloads_of_operations(actions: Sequence[messages.OperationAction]) -> Iterator[Named]:
    for action in actions:
        if action.send_signal is not None:
            yield f"the input of the signal {action.send_signal.name!r}", action.send_signal.input
        start = action.start_new_orchestration
        if start is not None:
            yield f"the input of the orchestration {start.name!r}", start.input
