"""Put responses together that came in parts, and write those that nobody sends.

Knows nothing about leases or commits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine.failure_details import fail_orchestration
from durabletask.sidecar.engine.limits import error_text

if TYPE_CHECKING:
    from durabletask.sidecar.engine.limits import Limits

_LIMIT = "history_bytes"
_ADVICE = "Let the orchestration ask for less in one turn, or raise the limit."


class Parts:
    """What came so far of a response that comes in several messages.

    Large responses come in parts from .NET workers. Those that could not become history are not
    kept: there is no end to what a worker may send before it sends the last.
    """

    def __init__(self) -> None:
        self._by_number: dict[int, messages.OrchestratorResponse] = {}
        self._bytes = 0

    def add(self, part: messages.OrchestratorResponse, limits: Limits) -> None:
        # A part may come twice, when its worker did not hear that it arrived.
        number = len(self._by_number) if part.chunk_index is None else part.chunk_index
        self._bytes += _size(part) - _size(self._by_number.get(number))
        self._by_number[number] = part
        if self._exceeded(limits) is not None:
            self._by_number.clear()

    def joined(
        self, last: messages.OrchestratorResponse, limits: Limits
    ) -> messages.OrchestratorResponse:
        """One response of all its parts, in the order of their numbers; a failure of too many.

        Only the first part carries the trace context.
        """
        limit = self._exceeded(limits)
        if limit is not None:
            return replace(last, actions=[fail_orchestration(self._too_many(last, limit))])
        if not self._by_number:
            return last
        parts = [self._by_number[number] for number in sorted(self._by_number)] + [last]
        return messages.OrchestratorResponse(
            instance_id=last.instance_id,
            actions=[action for part in parts for action in part.actions],
            custom_status=last.custom_status,
            completion_token=last.completion_token,
            orchestration_trace_context=parts[0].orchestration_trace_context,
            requires_history=last.requires_history,
            version=last.version,
        )

    def _exceeded(self, limits: Limits) -> int | None:
        return limits.exceeded(_LIMIT, self._bytes)

    def _too_many(
        self, last: messages.OrchestratorResponse, limit: int
    ) -> messages.TaskFailureDetails:
        found = f"A turn of '{last.instance_id}' was answered in parts of {self._bytes} bytes"
        return messages.TaskFailureDetails(
            error_type="HistoryTooLong",
            error_message=error_text(found, limit, _LIMIT, _ADVICE),
            is_non_retriable=True,
        )


def _size(part: messages.OrchestratorResponse | None) -> int:
    return 0 if part is None else len(codec.encode(part))


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
