"""Keep orchestrations alive between their turns, so that history is not replayed.

A session is only ever a shortcut. It is used for a work item whose history begins with
exactly the events that its machine has seen: the same execution, at least as many
events, and the last batch it was given byte for byte as it was given. The earlier
batches were compared in the same way when the batches after them arrived, and history
that is committed does not change within an execution; so the whole prefix is the same.
Anything else, and the machine is closed and rebuilt from history.

A sidecar that knows who took the last turn may leave history out. Then the execution and
the length of its history have to be the same as if all that the machine decided last had been
recorded, and nothing else; if not, the worker asks for the history.

Dapr's engines leave out what they sent before the last turn. What follows is there, and begins
with the last batch, so that it is compared as ever.

While a turn runs its session is checked out: a second dispatch of the instance finds
none, and rebuilds. Used by the threads that run turns, hence the lock.
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

# What an idle machine weighs beside what it was fed; measured, and good enough to keep
# ten thousand of them within bounds.
_WEIGHT = 4096


@dataclass(slots=True, eq=False)
class Session:
    """A live machine and the proof of what it has seen."""

    instance_id: str
    execution_id: str
    machine: OrchestrationMachine
    weight: int = _WEIGHT
    _batch: int = 0
    _digest: bytes = b""
    _stamped_in: Dialect | None = None

    def saw(self, peek: Peek, *, stamped_in: Dialect | None = None) -> None:
        """Remember the batch of new events that the machine has just been given.

        `stamped_in` is the dialect of an engine that will record with the batch which code has
        taken the turn.
        """
        self._batch = len(peek.new_events)
        self._stamped_in = stamped_in
        self._digest = self._digest_of(peek.new_events, 0, self._batch)
        # Inputs and results that user code holds on to came in these bytes.
        self.weight += sum(len(peek.new_events.event_bytes(i)) for i in range(self._batch))

    def continues(self, peek: Peek) -> bool:
        """Whether that work item's history begins with what the machine has seen."""
        if self.execution_id != peek.execution_id:
            return False
        if peek.left_out is not None:
            return self.machine.expected == peek.left_out
        # Counted from the first event that is there.
        seen = self.machine.applied - peek.kept
        return (
            self._batch <= seen <= len(peek.past_events)
            and self._digest_of(peek.past_events, seen - self._batch, seen) == self._digest
        )

    def close(self) -> None:
        """Let the `finally` blocks of an orchestrator that goes no further run."""
        self.machine.close()

    def _digest_of(self, events: EventSpans, start: int, end: int) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for index in range(start, end):
            event = events.event_bytes(index)
            if self._stamped_in is not None:
                event = _unstamped(event, self._stamped_in)
            # With its length, so that no two batches run together to the same bytes.
            digest.update(len(event).to_bytes(4, "little"))
            digest.update(event)
        return digest.digest()


class Sessions:
    """The sessions used last, as many and as heavy as allowed; a limit of 0 keeps none."""

    def __init__(self, *, limit: int, weight_limit: int) -> None:
        self._limit = limit
        self._weight_limit = weight_limit
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._condemned: list[Session] = []
        self._weight = 0
        self._lock = threading.Lock()

    def check_out(self, peek: Peek) -> Session | None:
        """The session that can take this work item from here, no longer kept; or None."""
        with self._lock:
            session = self._remove(peek.instance_id)
        if session is None or session.continues(peek):
            return session
        session.close()
        return None

    def check_in(self, session: Session) -> None:
        """Keep the session, and close those there is no more room for."""
        with self._lock:
            self._condemn(session.instance_id)
            self._kept[session.instance_id] = session
            self._weight += session.weight
            while len(self._kept) > self._limit or self._weight > self._weight_limit:
                self._condemn(next(iter(self._kept)))
        self.close_condemned()

    def condemn(self, instance_id: str) -> None:
        """Use the instance's session no more; a later `close_condemned` closes it."""
        with self._lock:
            self._condemn(instance_id)

    def condemn_all(self) -> None:
        """Use none of the sessions any more."""
        with self._lock:
            for instance_id in list(self._kept):
                self._condemn(instance_id)

    def close_condemned(self) -> None:
        """Close the machines of condemned sessions. Runs user code: never on the loop."""
        with self._lock:
            condemned, self._condemned = self._condemned, []
        for session in condemned:
            session.close()

    def __len__(self) -> int:
        return len(self._kept)

    def _remove(self, instance_id: str) -> Session | None:
        session = self._kept.pop(instance_id, None)
        if session is not None:
            self._weight -= session.weight
        return session

    def _condemn(self, instance_id: str) -> None:
        session = self._remove(instance_id)
        if session is not None:
            self._condemned.append(session)


def _unstamped(raw: bytes, dialect: Dialect) -> bytes:
    """The event as it was before the engine recorded with it which code took the turn."""
    event = codec.decode(messages.HistoryEvent, raw, dialect)
    if event.orchestrator_started is None:
        return raw
    event.orchestrator_started.version = None
    return codec.encode(event, dialect)
