"""How states are written down in columns, and read from them again."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages
from durabletask.sidecar.engine.inbox import InboxRow, RowKind
from durabletask.sidecar.engine.state import Origin, ParentLink, Progress, TaskRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import betterproto2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Columns = tuple[Any, ...]


def micros(at: datetime | None) -> int | None:
    """Microseconds since 1970."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def moment(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def _moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def _blob(message: betterproto2.Message | None) -> bytes | None:
    return None if message is None else codec.encode(message)


def origin_columns(origin: Origin) -> Columns:
    parent = origin.parent
    link = parent and json.dumps(asdict(parent))
    return (
        origin.execution_id,
        origin.name,
        micros(origin.created_at),
        origin.input,
        origin.version,
        json.dumps(dict(origin.tags)),
        micros(origin.scheduled_start),
        parent and parent.instance_id,
        link,
        _blob(origin.parent_trace_context),
    )


def origin(columns: Sequence[Any]) -> Origin:
    execution_id, name, created, input_, version, tags, start, _, parent, trace = columns
    return Origin(
        execution_id,
        name,
        _moment(created),
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
    )


def progress(columns: Sequence[Any]) -> Progress:
    status, updated, completed, output, custom, failure, trace, length, turn, *rest = columns
    rows_made, suspended, reason = rest
    return Progress(
        messages.OrchestrationStatus(status),
        _moment(updated),
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
    )


def inbox_columns(row: InboxRow) -> Columns:
    return (row.number, int(row.kind), micros(row.visible_at), row.event, row.timer_id)


def inbox_row(columns: Sequence[Any]) -> InboxRow:
    number, kind, visible_at, event, timer_id = columns
    return InboxRow(number, RowKind(kind), _moment(visible_at), event, timer_id)


def task_columns(row: TaskRow) -> Columns:
    return (row.number, row.task_id, row.execution_id, row.name, row.version, row.request)


def task_row(columns: Sequence[Any]) -> TaskRow:
    return TaskRow(*columns)
