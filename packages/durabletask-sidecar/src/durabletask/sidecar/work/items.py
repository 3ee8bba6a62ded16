"""Make the bytes of work items; events are spliced in as they are stored."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.protocol import codec, dialects, messages, wire
from durabletask.sidecar.store.splicing import NEW_EVENTS, spliced

from . import dapr_histories
from .sessions import NOTHING, Known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.engine.commands import TurnTaken
    from durabletask.sidecar.engine.entities.state import Entity, MessageRow
    from durabletask.sidecar.engine.state import Instance, TaskRow

# WorkItem.orchestrator_request, .activity_request, .entity_request, .completion_token
# and .entity_request_v2
_ORCHESTRATOR_REQUEST = 1
_ACTIVITY_REQUEST = 2
_ENTITY_REQUEST = 3
_COMPLETION_TOKEN = 10
_ENTITY_REQUEST_V2 = 5

# EntityRequest.operation_requests
_OPERATION_REQUESTS = 4


# From so many bytes of history on, workers that can fetch it are told to (as in .NET's
# sidecar), instead of being sent it in one message.
_LONG_HISTORY = 1024 * 1024


class HistoryForm(enum.Enum):
    """How a worker gets at what is committed of an orchestration."""

    WHOLE = "whole"
    """All of it comes with the turn."""
    FETCHED = "fetched"
    """It can fetch a long one by StreamInstanceHistory."""
    LEFT_OUT = "left out"
    """It knows it from the turns before."""
    CONTINUED = "continued"
    """It knows the beginning; the rest comes with the turn."""


@dataclass(frozen=True, slots=True)
class TurnForm:
    """How a worker takes a turn."""

    dialect: Dialect = dialects.TASKHUB
    history: HistoryForm = HistoryForm.WHOLE
    known: Known = NOTHING
    """The beginning that CONTINUED leaves out."""

    def past(self, history: bytes) -> bytes:
        """As much of what is committed as comes with the turn."""
        match self.history:
            case HistoryForm.WHOLE:
                return history
            case HistoryForm.FETCHED:
                return history if len(history) <= _LONG_HISTORY else b""
            case HistoryForm.LEFT_OUT:
                return b""
            case HistoryForm.CONTINUED:
                return history[self.known.size :]


WHOLE = TurnForm()


def turn_item(
    instance: Instance, turn: TurnTaken, past: bytes, token: str, form: TurnForm
) -> bytes:
    """The work item of a turn; the `past` events are spliced already."""
    is_left_out = not past and instance.progress.history_length > 0
    request = messages.OrchestratorRequest(
        instance_id=instance.instance_id,
        execution_id=turn.execution_id,
        # Messages come in the order of their commits: there is nothing to reorder.
        entity_parameters=messages.OrchestratorEntityParameters(
            entity_message_reorder_window=timedelta(0)
        ),
        orchestration_trace_context=instance.progress.trace_context,
        requires_history_streaming=is_left_out and form.history is HistoryForm.FETCHED,
    )
    if is_left_out and form.history is HistoryForm.LEFT_OUT:
        request.properties = _session_properties(instance.progress.history_length)
    encoded = b"".join((codec.encode(request), past, spliced(turn.new_events, NEW_EVENTS)))
    return _work_item(_ORCHESTRATOR_REQUEST, encoded, token)


def dapr_turn_item(
    instance: Instance, turn: TurnTaken, past: bytes, token: str, form: TurnForm
) -> bytes:
    """The same for one of Dapr's workers; the `past` events are transcribed already."""
    known = form.known.events
    request = messages.OrchestratorRequest(
        instance_id=instance.instance_id,
        execution_id=turn.execution_id,
        cached_history=messages.CachedHistory(event_count=known) if known else None,
    )
    new = spliced(map(dapr_histories.event, turn.new_events), NEW_EVENTS)
    encoded = b"".join((codec.encode(request, dialects.DAPR), past, new))
    return _work_item(_ORCHESTRATOR_REQUEST, encoded, token)


def _session_properties(history_length: int) -> dict[str, str]:
    """What tells a worker that the past events are left out; each value is JSON text."""
    return {
        "IsExtendedSession": "true",
        "IncludeState": "false",
        "HistoryLength": str(history_length),
    }


def activity_item(row: TaskRow, token: str) -> bytes:
    return _work_item(_ACTIVITY_REQUEST, row.request, token)


def dapr_activity_item(row: TaskRow, token: str) -> bytes:
    request = codec.decode(messages.ActivityRequest, row.request)
    return _work_item(_ACTIVITY_REQUEST, codec.encode(request, dialects.DAPR), token)


def batch_item(entity: Entity, rows: Sequence[MessageRow], token: str) -> bytes:
    """The work item of a batch of operations, in the newer form: as history events."""
    head = codec.encode(
        messages.EntityRequest(
            instance_id=entity.entity_id,
            execution_id=entity.progress.execution_id,
            entity_state=entity.progress.state,
        )
    )
    request = head + spliced((row.event for row in rows), _OPERATION_REQUESTS)
    return _work_item(_ENTITY_REQUEST_V2, request, token)


def old_batch_item(entity: Entity, rows: Sequence[MessageRow], token: str) -> bytes:
    """The same in the older form, for workers that asked for it."""
    request = messages.EntityBatchRequest(
        instance_id=entity.entity_id,
        entity_state=entity.progress.state,
        operations=[_operation(row) for row in rows],
    )
    return _work_item(_ENTITY_REQUEST, codec.encode(request), token)


def _operation(row: MessageRow) -> messages.OperationRequest:
    event = codec.decode(messages.HistoryEvent, row.event)
    asked = event.entity_operation_signaled
    if asked is None:
        called = event.entity_operation_called
        assert called is not None
        return messages.OperationRequest(
            operation=called.operation, request_id=called.request_id, input=called.input
        )
    return messages.OperationRequest(
        operation=asked.operation, request_id=asked.request_id, input=asked.input
    )


def _work_item(field_number: int, request: bytes, token: str) -> bytes:
    completion_token = wire.length_delimited(_COMPLETION_TOKEN, token.encode())
    return wire.length_delimited(field_number, request) + completion_token
