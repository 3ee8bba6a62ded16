"""Encoded events in the form in which a work item holds them: tag, length, bytes.

History is kept in this form, so that a work item is made by copying, whatever its length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

# OrchestratorRequest.past_events and .new_events
PAST_EVENTS = 3
NEW_EVENTS = 4


def spliced(events: Iterable[bytes], field_number: int = PAST_EVENTS) -> bytes:
    """The events as elements of a repeated field."""
    return b"".join(wire.length_delimited(field_number, event) for event in events)
