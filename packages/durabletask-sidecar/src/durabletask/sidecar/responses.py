"""Put responses together that came in parts, and write those that nobody sends.

Knows nothing about leases or commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages

if TYPE_CHECKING:
    from collections.abc import Mapping


def joined(
    chunks: Mapping[int, messages.OrchestratorResponse], last: messages.OrchestratorResponse
) -> messages.OrchestratorResponse:
    """One response of all its parts, in the order of their numbers.

    Large responses come in parts from .NET workers; only the first part carries the
    trace context.
    """
    if not chunks:
        return last
    parts = [chunks[number] for number in sorted(chunks)] + [last]
    return messages.OrchestratorResponse(
        instance_id=last.instance_id,
        actions=[action for part in parts for action in part.actions],
        custom_status=last.custom_status,
        completion_token=last.completion_token,
        orchestration_trace_context=parts[0].orchestration_trace_context,
        requires_history=last.requires_history,
        version=last.version,
    )


def too_large(size: int, limit: int) -> messages.TaskFailureDetails:
    """Why work was failed instead of sent."""
    return messages.TaskFailureDetails(
        error_type="WorkItemTooLarge",
        error_message=(
            f"The work item has {size} bytes, and its worker accepts no more than {limit}. "
            "Keep large payloads in a store of their own and pass references to them; an "
            "orchestration with a long history can continue as new."
        ),
        is_non_retriable=True,
    )
