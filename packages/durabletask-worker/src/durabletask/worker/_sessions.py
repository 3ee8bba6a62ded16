"""Keep orchestrations in memory between their turns, so that history is not replayed.

A session is only a shortcut. It is used for a work item if the item's history begins with
exactly the events that the session's machine has processed: the same execution, at least
as many events, and its last batch byte for byte as it was given. The earlier batches were
compared in the same way when the batches after them arrived, and history that is committed
does not change within an execution; so the whole prefix is the same. Otherwise the machine is
closed and rebuilt from history.

A sidecar that knows which worker took the last turn may leave history out. Then the
execution must be the same, and its history must be as long as if everything that the
machine decided last had been recorded, and nothing else; if not, the worker asks for the history.

Dapr's engines leave out what they sent before the last turn. What they send begins with the
last batch, so that it is compared as usual.

While a turn runs its session is checked out: if the instance is dispatched a second time,
there is no session, and the machine is rebuilt. The threads that run turns share the cache,
hence the lock.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages

if TYPE_CHECKING:
    from durabletask.core.machine import OrchestrationMachine
    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.work_items import EventSpans, Peek

# What an idle machine takes beside the bytes it was given: measured, and accurate enough to
# keep ten thousand of them within bounds.
_MACHINE_BYTES = 4096
# A batch of at most so many bytes is kept as it is; of a longer one a digest takes less memory.
_LONGEST_KEPT = 1024


@dataclass(slots=True, eq=False)
class Session:
    """A machine in memory, and the last batch of events it was given, or a digest of them."""

    instance_id: str
    execution_id: str
    machine: OrchestrationMachine
    size: int = _MACHINE_BYTES
    """An estimate in bytes."""
    _batch_length: int = 0
    _batch_size: int = 0
    _batch: bytes = b""
    _version_recorded_in: Dialect | None = None

    def remember_batch(self, peek: Peek, *, version_recorded_in: Dialect | None = None) -> None:
        """Remember the new events of the work item, which the machine has just been given.

        `version_recorded_in` is the dialect of an engine that will record in the batch which
        version of the code took the turn; None if the engine records none.
        """
        self._batch_length = len(peek.new_events)
        self._version_recorded_in = version_recorded_in
        batch = self._joined(peek.new_events, 0, self._batch_length)
        self._batch_size = len(batch)
        self._batch = _shortened(batch)
        # Inputs and results that user code still refers to came in these bytes.
        self.size += len(batch)

    def continues(self, peek: Peek) -> bool:
        """Whether the work item's history begins with what the machine has processed."""
        if self.execution_id != peek.execution_id:
            return False
        if peek.left_out is not None:
            return self.machine.expected == peek.left_out
        # Counted from the first event that was sent.
        processed = self.machine.applied - peek.kept
        if not self._batch_length <= processed <= len(peek.past_events):
            return False
        batch = self._joined(peek.past_events, processed - self._batch_length, processed)
        return len(batch) == self._batch_size and _shortened(batch) == self._batch

    def close(self) -> None:
        """Close the machine, which runs the orchestrator's `finally` blocks."""
        self.machine.close()

    def _joined(self, events: EventSpans, start: int, end: int) -> bytes:
        joined = []
        for index in range(start, end):
            event = events.event_bytes(index)
            if self._version_recorded_in is not None:
                event = _without_version(event, self._version_recorded_in)
            # With its length, so that no two batches give the same sequence of bytes.
            joined.append(len(event).to_bytes(4, "little") + event)
        return b"".join(joined)


class SessionCache:
    """The sessions used last: at most `limit`, of at most `max_bytes`; 0 keeps none."""

    def __init__(self, *, limit: int, max_bytes: int) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._evicted: list[Session] = []
        self._size = 0
        self._lock = threading.Lock()

    def check_out(self, peek: Peek) -> Session | None:
        """Remove and return the session that can take this work item; None if there is none."""
        with self._lock:
            session = self._remove(peek.instance_id)
        if session is None or session.continues(peek):
            return session
        session.close()
        return None

    def check_in(self, session: Session) -> None:
        """Keep the session, and close those that exceed the limits."""
        with self._lock:
            self._evict(session.instance_id)
            self._sessions[session.instance_id] = session
            self._size += session.size
            while len(self._sessions) > self._limit or self._size > self._max_bytes:
                self._evict(next(iter(self._sessions)))
        if self._evicted:
            self.close_evicted()

    def evict(self, instance_id: str) -> None:
        """Use the instance's session no more; a later `close_evicted` closes it."""
        with self._lock:
            self._evict(instance_id)

    def evict_all(self) -> None:
        """Use none of the sessions any more."""
        with self._lock:
            for instance_id in list(self._sessions):
                self._evict(instance_id)

    def close_evicted(self) -> None:
        """Close the evicted sessions. Runs user code: never call it in the event loop."""
        with self._lock:
            evicted, self._evicted = self._evicted, []
        for session in evicted:
            session.close()

    def __len__(self) -> int:
        return len(self._sessions)

    def _remove(self, instance_id: str) -> Session | None:
        session = self._sessions.pop(instance_id, None)
        if session is not None:
            self._size -= session.size
        return session

    def _evict(self, instance_id: str) -> None:
        session = self._remove(instance_id)
        if session is not None:
            self._evicted.append(session)


def _shortened(batch: bytes) -> bytes:
    """The batch, or a digest of it: of two batches of one length either both or neither."""
    if len(batch) <= _LONGEST_KEPT:
        return batch
    return hashlib.blake2b(batch, digest_size=16).digest()


def _without_version(raw: bytes, dialect: Dialect) -> bytes:
    """The event as it was before the engine recorded in it which version took the turn."""
    event = codec.decode(messages.HistoryEvent, raw, dialect)
    if event.orchestrator_started is None:
        return raw
    event.orchestrator_started.version = None
    return codec.encode(event, dialect)
