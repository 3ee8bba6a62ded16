"""How orchestrations and entities are written to columns, and read from them again."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine.entities.commands import Caller
from durabletask.sidecar.engine.entities.queue import MessageKind, MessageRow
from durabletask.sidecar.engine.entities.state import EntityProgress, Holder
from durabletask.sidecar.engine.inbox import InboxRow, RowKind
from durabletask.sidecar.engine.state import (
    CallRow,
    ChildRow,
    LockRow,
    Origin,
    ParentLink,
    Progress,
    TaskRow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import betterproto2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Columns = tuple[Any, ...]

# How many columns an origin has.
ORIGIN_WIDTH = 10


# Most times of one commit are the same.
@lru_cache(maxsize=64)
def micros(at: datetime | None) -> int | None:
    """Microseconds since 1970."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def moment(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def known_moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def _blob(message: betterproto2.Message | None) -> bytes | None:
    return None if message is None else codec.encode(message)


def origin_columns(origin: Origin) -> Columns:
    return (
        origin.execution_id,
        origin.name,
        micros(origin.created_at),
        origin.input,
        origin.version,
        json.dumps(dict(origin.tags)),
        micros(origin.scheduled_start),
        *parent_columns(origin.parent),
        _blob(origin.parent_trace_context),
    )


def parent_columns(parent: ParentLink | None) -> Columns:
    return (None, None) if parent is None else (parent.instance_id, json.dumps(asdict(parent)))


def origin(columns: Sequence[Any]) -> Origin:
    execution_id, name, created, input_, version, tags, start, _, parent, trace = columns
    return Origin(
        execution_id,
        name,
        known_moment(created),
        input_,
        version,
        json.loads(tags),
        moment(start),
        None if parent is None else ParentLink(**json.loads(parent)),
        None if trace is None else codec.decode(messages.TraceContext, trace),
    )


def progress_columns(progress: Progress) -> Columns:
    return (
        int(progress.status),
        micros(progress.updated_at),
        micros(progress.completed_at),
        progress.output,
        progress.custom_status,
        _blob(progress.failure),
        _blob(progress.trace_context),
        progress.history_length,
        micros(progress.turn_at),
        progress.rows_made,
        micros(progress.suspended_at),
        progress.suspend_reason,
        progress.history_bytes,
    )


def progress(columns: Sequence[Any]) -> Progress:
    status, updated, completed, output, custom, failure, trace, length, turn, *rest = columns
    rows_made, suspended, reason, history_bytes = rest
    return Progress(
        messages.OrchestrationStatus(status),
        known_moment(updated),
        moment(completed),
        output,
        custom,
        None if failure is None else codec.decode(messages.TaskFailureDetails, failure),
        None if trace is None else codec.decode(messages.OrchestrationTraceContext, trace),
        length,
        moment(turn),
        rows_made,
        moment(suspended),
        reason,
        history_bytes,
    )


def inbox_columns(row: InboxRow) -> Columns:
    return (row.number, int(row.kind), micros(row.visible_at), row.event, row.answers)


def inbox_row(columns: Sequence[Any]) -> InboxRow:
    number, kind, visible_at, event, answers = columns
    return InboxRow(number, RowKind(kind), known_moment(visible_at), event, answers)


def task_columns(row: TaskRow) -> Columns:
    return (row.number, row.task_id, row.execution_id, row.name, row.version, row.request)


def task_row(columns: Sequence[Any]) -> TaskRow:
    return TaskRow(*columns)


def child_columns(row: ChildRow) -> Columns:
    return (row.task_id, row.child_id)


def call_columns(row: CallRow) -> Columns:
    return (row.request_id, row.entity_id)


def lock_columns(row: LockRow) -> Columns:
    return (row.critical_section_id, json.dumps(row.lock_set), row.is_granted)


def lock_row(columns: Sequence[Any]) -> LockRow:
    section, lock_set, is_granted = columns
    return LockRow(section, tuple(json.loads(lock_set)), bool(is_granted))


def entity_columns(progress: EntityProgress) -> Columns:
    holder = progress.holder
    return (
        progress.execution_id,
        micros(progress.modified_at),
        progress.state,
        None if holder is None else holder.instance_id,
        None if holder is None else holder.critical_section_id,
        progress.rows_made,
    )


def entity_progress(columns: Sequence[Any]) -> EntityProgress:
    execution_id, modified_at, state, holder_id, section_id, rows_made = columns
    holder = None if holder_id is None else Holder(holder_id, section_id)
    return EntityProgress(execution_id, known_moment(modified_at), state, holder, rows_made)


def message_columns(row: MessageRow) -> Columns:
    caller = row.caller
    return (
        row.number,
        int(row.kind),
        micros(row.visible_at),
        row.request_id,
        row.event,
        None if caller is None else caller.instance_id,
        None if caller is None else caller.execution_id,
    )


def message_row(columns: Sequence[Any]) -> MessageRow:
    number, kind, visible_at, request_id, event, caller_id, caller_execution_id = columns
    caller = None if caller_id is None else Caller(caller_id, caller_execution_id)
    visible = known_moment(visible_at)
    return MessageRow(number, MessageKind(kind), visible, request_id, event, caller)
