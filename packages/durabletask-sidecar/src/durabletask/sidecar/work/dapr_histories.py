"""Dapr's form of a history, made from the stored one.

Events are stored in this sidecar's own numbering, which Microsoft's workers read as it is.
For Dapr's workers each event has to be decoded and encoded again, so the result is cached: a
turn of an instance that goes on costs only what has been added since the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.lru import Lru
from durabletask.sidecar.store.encoded_events import decoded, repeated_field

if TYPE_CHECKING:
    from durabletask.sidecar.store import Key

# Both forms of a history, for those of Dapr's workers that keep none themselves.
_MAX_BYTES = 16 * 1024 * 1024


def event(raw: bytes) -> bytes:
    """A stored event in Dapr's numbering; one that Dapr does not have loses its content."""
    return codec.encode(codec.decode(messages.HistoryEvent, raw), dialects.DAPR)


def events(history: bytes) -> bytes:
    """A stored history in Dapr's numbering, in the same form."""
    # The request for a turn has its events under the same number in both dialects.
    return repeated_field(codec.encode(each, dialects.DAPR) for each in decoded(history))


class DaprHistories:
    """A cache of histories in Dapr's numbering, limited in bytes."""

    def __init__(self, most_bytes: int = _MAX_BYTES) -> None:
        self._kept: Lru[Key, tuple[bytes, bytes]] = Lru(most_bytes)

    def of(self, key: Key, history: bytes) -> bytes:
        """The whole history in Dapr's numbering."""
        stored, converted = self._kept.peek(key) or (b"", b"")
        if not history.startswith(stored):
            # Another execution, with a history of its own.
            stored, converted = b"", b""
        if len(stored) < len(history):
            converted += events(history[len(stored) :])
        self._kept.put(key, (history, converted), len(history) + len(converted))
        return converted
