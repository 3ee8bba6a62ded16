"""Histories as Dapr's workers read them, made from the stored ones.

Events are stored under our own numbers, which Microsoft's workers read as they are. For
Dapr's every event has to be read and written anew, so what was written is kept: of a turn of
an instance that goes on, only what has come since the last one costs anything.

Knows nothing about turns or workers.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from durabletask.protocol import codec, dialects, messages
from durabletask.sidecar.store.encoded_events import decoded, repeated_field

if TYPE_CHECKING:
    from durabletask.sidecar.store import Key

# Both forms of a history, for Dapr's workers that keep none themselves.
_MOST_BYTES = 16 * 1024 * 1024


def event(raw: bytes) -> bytes:
    """A stored event in Dapr's numbers; of what Dapr has not got only the envelope is left."""
    return codec.encode(codec.decode(messages.HistoryEvent, raw), dialects.DAPR)


def events(history: bytes) -> bytes:
    """Stored history in Dapr's numbers, in the same form."""
    # A request for a turn has them in the same place in both dialects.
    return repeated_field(codec.encode(each, dialects.DAPR) for each in decoded(history))


class Transcripts:
    """The histories that were transcribed last, up to so many bytes."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, tuple[bytes, bytes]] = OrderedDict()

    def of(self, key: Key, history: bytes) -> bytes:
        """The whole history in Dapr's numbers."""
        stored, transcript = self._take(key)
        if not history.startswith(stored):
            # Another execution, with a history of its own.
            stored, transcript = b"", b""
        if len(stored) < len(history):
            transcript += events(history[len(stored) :])
        self._keep(key, history, transcript)
        return transcript

    def _take(self, key: Key) -> tuple[bytes, bytes]:
        found = self._kept.pop(key, (b"", b""))
        self._bytes -= sum(map(len, found))
        return found

    def _keep(self, key: Key, history: bytes, transcript: bytes) -> None:
        self._kept[key] = (history, transcript)
        self._bytes += len(history) + len(transcript)
        while self._bytes > self._most_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= sum(map(len, dropped))
