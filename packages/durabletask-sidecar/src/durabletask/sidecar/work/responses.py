"""Join responses that come in chunks, and make the failures of work that cannot be sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine.failure_details import fail_orchestration
from durabletask.sidecar.engine.limits import error_text

if TYPE_CHECKING:
    from durabletask.sidecar.engine.limits import Limits

_LIMIT = "history_bytes"
_ADVICE = "Let the orchestration schedule less in one turn, or raise the limit."


class ResponseChunks:
    """The chunks received so far of one large response, as .NET workers send it.

    Chunks that exceed the limit on a history are dropped: a worker could send any number of
    them.
    """

    def __init__(self) -> None:
        self._by_index: dict[int, messages.OrchestratorResponse] = {}
        self._bytes = 0

    def add(self, chunk: messages.OrchestratorResponse, limits: Limits) -> None:
        # A chunk comes twice when its worker did not learn that it arrived.
        index = len(self._by_index) if chunk.chunk_index is None else chunk.chunk_index
        self._bytes += _size(chunk) - _size(self._by_index.get(index))
        self._by_index[index] = chunk
        if self._exceeded(limits) is not None:
            self._by_index.clear()

    def joined(
        self, last: messages.OrchestratorResponse, limits: Limits
    ) -> messages.OrchestratorResponse:
        """One response of all chunks, in the order of their indexes; a failure if too large."""
        limit = self._exceeded(limits)
        if limit is not None:
            return replace(last, actions=[fail_orchestration(self._too_large(last, limit))])
        if not self._by_index:
            return last
        chunks = [self._by_index[index] for index in sorted(self._by_index)] + [last]
        return messages.OrchestratorResponse(
            instance_id=last.instance_id,
            actions=[action for chunk in chunks for action in chunk.actions],
            custom_status=last.custom_status,
            completion_token=last.completion_token,
            # Only the first chunk carries it.
            orchestration_trace_context=chunks[0].orchestration_trace_context,
            requires_history=last.requires_history,
            version=last.version,
        )

    def _exceeded(self, limits: Limits) -> int | None:
        return limits.exceeded(_LIMIT, self._bytes)

    def _too_large(
        self, last: messages.OrchestratorResponse, limit: int
    ) -> messages.TaskFailureDetails:
        found = f"A turn of '{last.instance_id}' was completed with chunks of {self._bytes} bytes"
        return messages.TaskFailureDetails(
            error_type="HistoryTooLong",
            error_message=error_text(found, limit, _LIMIT, _ADVICE),
            is_non_retriable=True,
        )


def _size(chunk: messages.OrchestratorResponse | None) -> int:
    return 0 if chunk is None else len(codec.encode(chunk))


def too_large(size: int, limit: int) -> messages.TaskFailureDetails:
    """The failure of work whose item is larger than its worker accepts."""
    return messages.TaskFailureDetails(
        error_type="WorkItemTooLarge",
        error_message=(
            f"The work item has {size} bytes, and its worker accepts no more than {limit}. "
            "Keep large payloads in a store of their own and pass references to them; an "
            "orchestration with a long history can continue as new."
        ),
        is_non_retriable=True,
    )
