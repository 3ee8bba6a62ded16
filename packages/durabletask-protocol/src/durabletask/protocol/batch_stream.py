"""The stream on which an SDK and a sidecar of this project exchange calls in batches.

    SDK      --Hello-->                                    sidecar
             <-- OFFER_KEY: bytes that a batch may have --
             --PATH: batches of calls and cancellations-->
             <-- batches of replies ----------------------

The calls are those of `methods`, with requests and responses in Microsoft's dialect. A batch
holds whatever is ready when the stream can take it, so nothing is delayed for its sake. The
messages are in `batch_stream.proto`. Does no I/O.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from durabletask.protocol import messages

if TYPE_CHECKING:
    from typing import Final

T = TypeVar("T")

Metadata = tuple[tuple[str, "str | bytes"], ...]

SERVICE: Final = "durabletask.sidecar.BatchService"
METHOD: Final = "Exchange"
PATH: Final = f"/{SERVICE}/{METHOD}"

OFFER_KEY: Final = "x-durabletask-batch-stream"
"""The metadata in which a sidecar offers the stream, with the bytes that a batch may have."""

FULL_BATCH: Final = 1024 * 1024
"""Bytes from which on a batch is sent by itself: larger ones save nothing, and delay others."""

ENTRY_BYTES: Final = 64
"""More than what one call or reply adds to its bytes and texts in a batch."""


class Outbox(Generic[T]):
    """What waits to be sent, oldest first; each batch of it fits into one message."""

    def __init__(self, batch_bytes: int = FULL_BATCH) -> None:
        self._batch_bytes = batch_bytes
        self._waiting: deque[tuple[T, int]] = deque()
        self.size = 0
        """Bytes of all that waits."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, entry: T, size: int) -> None:
        """Let it wait; `size` is all that it adds to a batch."""
        self._waiting.append((entry, size))
        self.size += size

    def take(self) -> list[T]:
        """The next batch. What is larger than a batch may be is a batch by itself."""
        if self.size <= self._batch_bytes:
            batch = [entry for entry, _ in self._waiting]
            self._waiting.clear()
            self.size = 0
            return batch
        return self._take_some()

    def _take_some(self) -> list[T]:
        waiting, room = self._waiting, self._batch_bytes
        batch: list[T] = []
        while waiting and (not batch or waiting[0][1] <= room):
            entry, size = waiting.popleft()
            batch.append(entry)
            room -= size
            self.size -= size
        return batch


def to_entries(metadata: Metadata) -> list[messages.CallMetadata]:
    """Metadata as a call in a batch carries it."""
    return [
        messages.CallMetadata(
            key=key,
            value=value.encode() if isinstance(value, str) else value,
            is_binary=isinstance(value, bytes),
        )
        for key, value in metadata
    ]


def from_entries(entries: list[messages.CallMetadata]) -> dict[str, str | bytes]:
    """The metadata that a call in a batch carries."""
    return {
        each.key: each.value if each.is_binary else each.value.decode(errors="replace")
        for each in entries
    }
