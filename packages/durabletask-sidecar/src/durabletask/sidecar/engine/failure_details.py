"""Failure details: cut to what messages can carry, and as the action that ends in them."""

from __future__ import annotations

from dataclasses import replace

from durabletask.protocol import messages

# Parsers stop at 100 nested messages, and a work item adds its own around these. SDKs send
# ten levels of causes.
_MAX_DEPTH = 50


def limit_depth(
    failure: messages.TaskFailureDetails, depth: int = 1
) -> messages.TaskFailureDetails:
    """The failure without the causes that are nested too deep for a parser."""
    inner = failure.inner_failure
    if inner is None:
        return failure
    if depth == _MAX_DEPTH:
        return replace(failure, inner_failure=None)
    kept = limit_depth(inner, depth + 1)
    return failure if kept is inner else replace(failure, inner_failure=kept)


def shorten(
    failure: messages.TaskFailureDetails, length: int, reason: str
) -> messages.TaskFailureDetails:
    """The first characters of the failure's text, and the reason why it was cut.

    Keeps what retry policies look at: the error type, and whether it may be retried. Stack
    trace, causes and properties are left out.
    """
    message = f"{failure.error_message[:length]} {reason}".lstrip()
    return messages.TaskFailureDetails(
        error_type=failure.error_type[:length],
        error_message=message,
        is_non_retriable=failure.is_non_retriable,
    )


def fail_orchestration(failure: messages.TaskFailureDetails) -> messages.OrchestratorAction:
    """The action that ends an orchestration with this failure."""
    return messages.OrchestratorAction(
        id=-1,
        complete_orchestration=messages.CompleteOrchestrationAction(
            orchestration_status=messages.OrchestrationStatus.FAILED, failure_details=failure
        ),
    )
