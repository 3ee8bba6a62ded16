"""Encoded events in the form in which a work item holds them: tag, length, bytes.

History is kept in this form, so that a work item is made by copying, whatever its length.
What reads it back is here too.
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
    """The events as elements of a repeated field."""
    return b"".join(wire.length_delimited(field_number, event) for event in events)


def spans(history: bytes) -> Iterator[tuple[int, int]]:
    """Where each event begins and ends."""
    end, pos = len(history), 0
    while pos < end:
        _, pos = wire.tag_at(history, pos)
        start, pos = wire.span_at(history, pos, end)
        yield start, pos


def decoded(history: bytes) -> list[messages.HistoryEvent]:
    """The events themselves."""
    # They stand in the place that a request for a turn has them in.
    return codec.decode(messages.OrchestratorRequest, history).past_events
