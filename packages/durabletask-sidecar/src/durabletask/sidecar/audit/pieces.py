"""Put a history together from the pieces in which it is stored.

Knows nothing about what the events mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from durabletask.protocol import codec, messages, oneofs

from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from durabletask.protocol.messages import HistoryEvent


class Piece(NamedTuple):
    """The events of one commit."""

    first: int
    """The place of the first of them in the history."""
    events: bytes
    """As a work item holds them."""


class Decoded(NamedTuple):
    """A history, and what is wrong with the pieces; with that, nothing else can be said of it."""

    events: Sequence[HistoryEvent]
    findings: Sequence[Finding]


def decode(pieces: Iterable[Piece]) -> Decoded:
    events: list[HistoryEvent] = []
    findings: list[Finding] = []
    for piece in pieces:
        findings += _misplaced(piece, len(events))
        try:
            # Stored events stand in the place that a request for a turn has them in.
            found = codec.decode(messages.OrchestratorRequest, piece.events).past_events
        except ValueError as error:
            findings.append(Finding("decodes", f"the events at {piece.first}: {error}"))
            continue
        findings += _unknown(found, piece.first)
        events += found
    return Decoded(events, findings)


def _misplaced(piece: Piece, position: int) -> Iterator[Finding]:
    if piece.first != position:
        text = f"the events that should begin at {position} begin at {piece.first}"
        yield Finding("gapless", text)


def _unknown(events: Iterable[HistoryEvent], first: int) -> Iterator[Finding]:
    for position, event in enumerate(events, first):
        if not oneofs.which(event):
            yield Finding("known", f"event {position} is of no known kind")
