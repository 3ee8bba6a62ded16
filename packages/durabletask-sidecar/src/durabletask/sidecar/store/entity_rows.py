"""How entities are written down in columns, and read from them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.sidecar.engine.entities.commands import Caller
from durabletask.sidecar.engine.entities.queue import MessageKind, MessageRow
from durabletask.sidecar.engine.entities.state import EntityProgress, Holder

from . import rows

if TYPE_CHECKING:
    from collections.abc import Sequence


def progress_columns(progress: EntityProgress) -> rows.Columns:
    holder = progress.holder
    return (
        progress.execution_id,
        rows.micros(progress.modified_at),
        progress.state,
        None if holder is None else holder.instance_id,
        None if holder is None else holder.critical_section_id,
        progress.rows_made,
    )


def progress(columns: Sequence[Any]) -> EntityProgress:
    execution_id, modified_at, state, holder_id, section_id, rows_made = columns
    holder = None if holder_id is None else Holder(holder_id, section_id)
    return EntityProgress(execution_id, rows.known_moment(modified_at), state, holder, rows_made)


def message_columns(row: MessageRow) -> rows.Columns:
    caller = row.caller
    return (
        row.number,
        int(row.kind),
        rows.micros(row.visible_at),
        row.request_id,
        row.event,
        None if caller is None else caller.instance_id,
        None if caller is None else caller.execution_id,
    )


def message_row(columns: Sequence[Any]) -> MessageRow:
    number, kind, visible_at, request_id, event, caller_id, caller_execution_id = columns
    caller = None if caller_id is None else Caller(caller_id, caller_execution_id)
    visible = rows.known_moment(visible_at)
    return MessageRow(number, MessageKind(kind), visible, request_id, event, caller)
