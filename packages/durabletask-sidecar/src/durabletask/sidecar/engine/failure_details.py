"""Failures that fit into the messages that carry them."""

from __future__ import annotations

from dataclasses import replace

from durabletask.protocol import messages

# Parsers give up at 100 levels, and a work item adds its own around these. SDKs send ten.
_DEEPEST = 50


def trimmed(failure: messages.TaskFailureDetails, depth: int = 1) -> messages.TaskFailureDetails:
    """The failure without the causes that are nested too deep to be read again."""
    inner = failure.inner_failure
    if inner is None:
        return failure
    if depth == _DEEPEST:
        return replace(failure, inner_failure=None)
    kept = trimmed(inner, depth + 1)
    return failure if kept is inner else replace(failure, inner_failure=kept)


def shortened(
    failure: messages.TaskFailureDetails, length: int, why: str
) -> messages.TaskFailureDetails:
    """The kind of the failure and the first characters of its text, and why there are no more.

    What retries go by stays; stack, causes and properties go.
    """
    message = f"{failure.error_message[:length]} {why}".lstrip()
    return messages.TaskFailureDetails(
        error_type=failure.error_type[:length],
        error_message=message,
        is_non_retriable=failure.is_non_retriable,
    )
