"""Convert failure details to protocol messages and back.

In the messages each property is JSON text.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from durabletask.failures.details import FailureDetails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from durabletask.protocol import messages as protocol


# Protobuf refuses messages nested more than 100 deep, and a failure grows by one level for each
# parent it passes through, inside the messages that carry it.
_MOST_SENT = 50


def to_message(details: FailureDetails) -> protocol.TaskFailureDetails:
    """The details as a message; causes beyond the fiftieth are left out."""
    from durabletask.protocol import messages

    message = None
    for link in reversed(list(islice(_chain(details), _MOST_SENT))):
        message = messages.TaskFailureDetails(
            error_type=link.error_type,
            error_message=link.message,
            stack_trace=link.stack_trace,
            inner_failure=message,
            properties=_as_json(link.properties or {}),
        )
    assert message is not None  # the chain holds at least the details themselves
    return message


def from_message(message: protocol.TaskFailureDetails) -> FailureDetails:
    """The details that a peer sent; properties that are not JSON are kept as text."""
    inner = message.inner_failure
    return FailureDetails(
        message=message.error_message,
        error_type=message.error_type,
        stack_trace=message.stack_trace,
        inner_failure=from_message(inner) if inner is not None else None,
        properties=_from_json(message.properties) or None,
    )


def _chain(details: FailureDetails | None) -> Iterator[FailureDetails]:
    """The details and their causes, outermost first."""
    while details is not None:
        yield details
        details = details.inner_failure


def _as_json(properties: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value, default=str) for name, value in properties.items()}


def _from_json(properties: Mapping[str, str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in properties.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
