"""Encode events the way a work item holds them, as a repeated field: tag, length, bytes.

Histories are stored in this form, so that a work item is made by copying.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages, wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# OrchestratorRequest.past_events and .new_events
PAST_EVENTS = 3
NEW_EVENTS = 4


def repeated_field(events: Iterable[bytes], field_number: int = PAST_EVENTS) -> bytes:
    """The encoded events as a repeated field."""
    tag = wire.varint(field_number << 3 | wire.LENGTH_DELIMITED)
    parts: list[bytes] = []
    for event in events:
        parts += (tag, wire.prefixed(event))
    return b"".join(parts)


def spans(history: bytes) -> Iterator[tuple[int, int]]:
    """The start and end of each event."""
    end, pos = len(history), 0
    while pos < end:
        _, pos = wire.tag_at(history, pos)
        start, pos = wire.span_at(history, pos, end)
        yield start, pos


def decoded(history: bytes) -> list[messages.HistoryEvent]:
    """The events of a stored history."""
    # A stored history is the past_events of an OrchestratorRequest.
    return codec.decode(messages.OrchestratorRequest, history).past_events
