"""Make the work items that are handed out, each in the form that its worker takes.

Events and requests are spliced in as they are stored, without being decoded.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from durabletask.protocol import codec, dialects, messages, wire
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine import turns
from durabletask.sidecar.engine.entities import batches
from durabletask.sidecar.engine.usual_events import string_value
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.encoded_events import NEW_EVENTS, repeated_field

from . import dapr_histories
from .dapr_histories import DaprHistories
from .sessions import NOTHING_KNOWN, KnownHistory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from durabletask.protocol.dialects import Dialect
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.engine.commands import DispatchedTurn
    from durabletask.sidecar.engine.entities.commands import DispatchedBatch
    from durabletask.sidecar.engine.entities.state import Entity, MessageRow
    from durabletask.sidecar.engine.state import Instance, TaskRow

    from .leases import Lease
    from .streams import WorkStream

# WorkItem.orchestrator_request, .activity_request, .entity_request, .completion_token
# and .entity_request_v2
_ORCHESTRATOR_REQUEST = 1
_ACTIVITY_REQUEST = 2
_ENTITY_REQUEST = 3
_COMPLETION_TOKEN = b"\x52"  # with its wire type
_ENTITY_REQUEST_V2 = 5

# OrchestratorRequest.instance_id and .execution_id, with their wire types
_INSTANCE_ID = b"\x0a"
_EXECUTION_ID = b"\x12"

# EntityRequest.operation_requests
_OPERATION_REQUESTS = 4

# Workers that can fetch a history are not sent a longer one with the turn, as in .NET's
# sidecar.
_LONG_HISTORY = 1024 * 1024


class HistoryForm(enum.Enum):
    """How a worker gets the committed history of an orchestration."""

    WHOLE = "whole"
    """All of it is sent with the turn."""
    FETCHED = "fetched"
    """A long one is left out: the worker can fetch it by StreamInstanceHistory."""
    LEFT_OUT = "left out"
    """The worker has it from the turns before."""
    CONTINUED = "continued"
    """The worker has the beginning; the rest is sent with the turn."""


@dataclass(frozen=True, slots=True)
class TurnForm:
    """The form of the work item of a turn."""

    dialect: Dialect = dialects.TASKHUB
    history: HistoryForm = HistoryForm.WHOLE
    known: KnownHistory = NOTHING_KNOWN
    """The beginning that CONTINUED leaves out."""

    def sends_any_of(self, size: int) -> bool:
        """Whether any part of a committed history of this size is sent with the turn."""
        if self.history is HistoryForm.LEFT_OUT or size == 0:
            return False
        return self.history is not HistoryForm.FETCHED or size <= _LONG_HISTORY

    def past(self, history: bytes) -> bytes:
        """The part of the committed history that is sent."""
        return history[self.known.size :] if self.history is HistoryForm.CONTINUED else history


WHOLE = TurnForm()


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """The work item of a turn, and what committing its completion will need."""

    turn: DispatchedTurn
    work_item: bytes
    committed: KnownHistory
    """The history before the turn, which the worker has once it receives the item."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """The work item of a batch of operations, and what committing its completion will need."""

    batch: DispatchedBatch
    work_item: bytes


class WorkItemSource:
    """Makes work items from the committed states."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._dapr_histories = DaprHistories()

    def load(self, lease: Lease, now: datetime) -> bytes | None:
        """Make the work item for a lease; None when there is nothing to do any more."""
        match lease.work.kind:
            case Kind.TURN:
                return self._load_turn(lease, now)
            case Kind.ENTITY:
                return self._load_batch(lease, now)
            case Kind.ACTIVITY:
                return self._load_activity(lease)

    def load_ahead(self, lease: Lease, instance: Instance, now: datetime) -> bytes | None:
        """The same for a turn of an instance that is not committed as it is here.

        None unless the worker has all of the committed history.
        """
        form = _form(instance, lease.stream)
        if form.history is not HistoryForm.LEFT_OUT:
            return None
        return self._lease_turn(lease, instance, form, now)

    def prepare_turn(
        self,
        hub: str,
        instance_id: str,
        *,
        token: str,
        now: datetime,
        room: int,
        form: TurnForm = WHOLE,
    ) -> PreparedTurn | None:
        """The next turn of an orchestration; None when it has nothing to do.

        `room` is how many bytes the work item may have. Events that do not fit beside the
        history wait for the next turn; the first is sent whatever its size.
        """
        instance = self._committer.instance(hub, instance_id)
        if instance is None:
            return None
        return self._prepare_turn(hub, instance, form, token=token, now=now, room=room)

    def prepare_batch(
        self,
        hub: str,
        entity_id: str,
        *,
        token: str,
        now: datetime,
        room: int,
        in_older_form: bool = False,
    ) -> PreparedBatch | None:
        """The next operations of an entity; None when there is none to run."""
        entity = self._committer.entity(hub, entity_id)
        if entity is None:
            return None
        rows = batches.prepare(entity, now, room)
        if not rows:
            return None
        make = old_batch_item if in_older_form else batch_item
        return PreparedBatch(batches.dispatched(entity, rows), make(entity, rows, token))

    def activity_work_item(
        self,
        hub: str,
        instance_id: str,
        task_key: str,
        *,
        token: str,
        dialect: Dialect = dialects.TASKHUB,
    ) -> bytes | None:
        """The work item of an activity; None when it has an outcome already."""
        instance = self._committer.instance(hub, instance_id)
        row = None if instance is None else instance.task_with_key(task_key)
        if row is None:
            return None
        make = dapr_activity_item if dialect is dialects.DAPR else activity_item
        return make(row, token)

    def _load_turn(self, lease: Lease, now: datetime) -> bytes | None:
        work, stream = lease.work, lease.stream
        instance = self._committer.instance(work.hub, work.instance_id)
        if instance is None:
            return None
        return self._lease_turn(lease, instance, _form(instance, stream), now)

    def _lease_turn(
        self, lease: Lease, instance: Instance, form: TurnForm, now: datetime
    ) -> bytes | None:
        lease.has_history = form.history is HistoryForm.WHOLE
        prepared = self._prepare_turn(
            lease.work.hub,
            instance,
            form,
            token=lease.token,
            now=now,
            room=lease.stream.subscription.max_message,
        )
        if prepared is None:
            return None
        lease.turn = prepared.turn
        lease.committed = prepared.committed
        return prepared.work_item

    def _load_batch(self, lease: Lease, now: datetime) -> bytes | None:
        work, subscription = lease.work, lease.stream.subscription
        prepared = self.prepare_batch(
            work.hub,
            work.instance_id,
            token=lease.token,
            now=now,
            room=subscription.max_message,
            in_older_form=subscription.older_batches,
        )
        if prepared is None:
            return None
        lease.batch = prepared.batch
        return prepared.work_item

    def _load_activity(self, lease: Lease) -> bytes | None:
        work = lease.work
        return self.activity_work_item(
            work.hub,
            work.instance_id,
            work.task_key,
            token=lease.token,
            dialect=dialects.DAPR if lease.stream.subscription.is_dapr else dialects.TASKHUB,
        )

    def _prepare_turn(
        self, hub: str, instance: Instance, form: TurnForm, *, token: str, now: datetime, room: int
    ) -> PreparedTurn | None:
        if instance.due_at() is None:
            return None
        key = Key(hub, instance.instance_id)
        size = instance.progress.history_bytes
        # A long history is read only when it is sent.
        past = form.past(self._committer.reader.history(key)) if form.sends_any_of(size) else b""
        turn = turns.prepare(instance, now, room - len(past))
        if turn is None:
            return None
        if form.dialect is dialects.DAPR:
            is_whole = len(past) == size
            past = self._dapr_histories.of(key, past) if is_whole else dapr_histories.events(past)
            item = dapr_turn_item(instance, turn, past, token, form)
        else:
            item = turn_item(instance, turn, past, token, form)
        return PreparedTurn(turn, item, KnownHistory(turn.history_length, size))


def _form(instance: Instance, stream: WorkStream) -> TurnForm:
    """The form of a turn for this worker: with the history that it lacks and cannot fetch."""
    length = instance.progress.history_length
    known = stream.sessions.known(instance.instance_id, instance.origin.execution_id)
    if stream.subscription.is_dapr:
        is_known = 0 < known.events <= length
        form = HistoryForm.CONTINUED if is_known else HistoryForm.WHOLE
        return TurnForm(dialects.DAPR, form, known if is_known else NOTHING_KNOWN)
    if known.events and known.events == length:
        return TurnForm(dialects.TASKHUB, HistoryForm.LEFT_OUT)
    if stream.subscription.fetches_history:
        return TurnForm(dialects.TASKHUB, HistoryForm.FETCHED)
    return WHOLE


def turn_item(
    instance: Instance, turn: DispatchedTurn, past: bytes, token: str, form: TurnForm
) -> bytes:
    """The work item of a turn; the `past` events are spliced already."""
    parts = [
        _INSTANCE_ID,
        wire.prefixed(instance.instance_id.encode()),
        _EXECUTION_ID,
        string_value(turn.execution_id),
        _unordered_messages(),
    ]
    if not past and instance.progress.history_length > 0:
        if form.history is HistoryForm.LEFT_OUT:
            parts.append(_session_properties(instance.progress.history_length))
        elif form.history is HistoryForm.FETCHED:
            parts.append(_requires_history())
    if instance.progress.trace_context is not None:
        traced = messages.OrchestratorRequest(
            orchestration_trace_context=instance.progress.trace_context
        )
        parts.append(codec.encode(traced))
    parts += (past, repeated_field(turn.new_events, NEW_EVENTS))
    return _work_item(_ORCHESTRATOR_REQUEST, b"".join(parts), token)


def dapr_turn_item(
    instance: Instance, turn: DispatchedTurn, past: bytes, token: str, form: TurnForm
) -> bytes:
    """The same for one of Dapr's workers; the `past` events are in its numbering already."""
    known = form.known.events
    request = messages.OrchestratorRequest(
        instance_id=instance.instance_id,
        execution_id=turn.execution_id,
        cached_history=messages.CachedHistory(event_count=known) if known else None,
    )
    new = repeated_field(map(dapr_histories.event, turn.new_events), NEW_EVENTS)
    encoded = b"".join((codec.encode(request, dialects.DAPR), past, new))
    return _work_item(_ORCHESTRATOR_REQUEST, encoded, token)


# The parts of a request that are always the same; a message may be written in parts.
@cache
def _unordered_messages() -> bytes:
    """Says that messages come in the order of their commits: there is nothing to reorder."""
    parameters = messages.OrchestratorEntityParameters(entity_message_reorder_window=timedelta(0))
    return codec.encode(messages.OrchestratorRequest(entity_parameters=parameters))


@cache
def _requires_history() -> bytes:
    return codec.encode(messages.OrchestratorRequest(requires_history_streaming=True))


@cache
def _session_of_no_events() -> bytes:
    """Tells a worker that the past events are left out; each value is JSON text."""
    properties = {"IsExtendedSession": "true", "IncludeState": "false", "HistoryLength": "0"}
    return codec.encode(messages.OrchestratorRequest(properties=properties))


def _session_properties(history_length: int) -> bytes:
    """The same, with how many events are left out: the last eight bytes are that number."""
    return _session_of_no_events()[:-8] + struct.pack("<d", history_length)


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
    request = head + repeated_field((row.event for row in rows), _OPERATION_REQUESTS)
    return _work_item(_ENTITY_REQUEST_V2, request, token)


def old_batch_item(entity: Entity, rows: Sequence[MessageRow], token: str) -> bytes:
    """The same in the older form, for workers that announced it."""
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
    tag = wire.BYTE[field_number << 3 | wire.LENGTH_DELIMITED]
    return tag + wire.prefixed(request) + _COMPLETION_TOKEN + wire.prefixed(token.encode())
