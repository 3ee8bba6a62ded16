"""The calls of one batch stream: which wait to be sent, and who waits for which reply.

    open() --next_batch()--> sent --receive()--> replies handed out --> ended
      |                        |
      +-------- cancel() or end() ----------------------------------> ended

Every call ends once: by its last reply, by its cancellation or by the end of the stream. A call
that was not given out with a batch by then cannot have reached the sidecar, and is told so.
Does no I/O and has no lock: one thread uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from durabletask.protocol import batch_stream, codec, messages

if TYPE_CHECKING:
    from typing import Final

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata

_IDS: Final = 2**32


class CallFailure(NamedTuple):
    """Why a call has no response: the name of a gRPC status, and its details."""

    status: str
    details: str
    was_sent: bool = True
    """False only if the call cannot have reached the sidecar."""


LATE: Final = CallFailure("DEADLINE_EXCEEDED", "Deadline Exceeded")
NO_RESPONSE: Final = CallFailure("INTERNAL", "The sidecar ended the call without a response")


class Waiting(Protocol):
    """Who waits for the replies to a call. Returns at once and raises nothing."""

    def received(self, responses: list[bytes]) -> None:
        """Take responses; none says that the sidecar has admitted the call."""

    def ended(self, failure: CallFailure | None) -> None:
        """Take note that the call has ended, with None for a good end."""


class Multiplexer:
    """The calls of one stream."""

    def __init__(self, batch_bytes: int = batch_stream.FULL_BATCH) -> None:
        self._largest_batch = batch_bytes
        self._outbox: batch_stream.Outbox[messages.BatchedCall] = batch_stream.Outbox(batch_bytes)
        self._waiting: dict[int, Waiting] = {}
        self._unsent: set[int] = set()
        self._cancelled: list[int] = []
        self._last_id = 0

    @property
    def has_more_to_send(self) -> bool:
        """Whether there is a next batch."""
        return bool(self._outbox or self._cancelled)

    def fits(self, method: Method, payload: bytes, metadata: Metadata = ()) -> bool:
        """Whether such a call may be part of a batch, and gains from it."""
        size = _size_of(method, payload, batch_stream.to_entries(metadata))
        return size <= self._largest_batch

    def open(
        self, method: Method, payload: bytes, waiting: Waiting, metadata: Metadata = ()
    ) -> int:
        """Begin a call; returns its id."""
        id = self._next_id()
        call = messages.BatchedCall(id=id, method=method.name, request=payload)
        if metadata:
            call.metadata = batch_stream.to_entries(metadata)
        self._waiting[id] = waiting
        self._unsent.add(id)
        self._outbox.add(call, _size_of(method, payload, call.metadata))
        return id

    def _next_id(self) -> int:
        id = (self._last_id + 1) % _IDS
        # A stream of work items may live through all the ids there are.
        while id in self._waiting:
            id = (id + 1) % _IDS
        self._last_id = id
        return id

    def cancel(self, id: int) -> None:
        """End a call whose replies nobody waits for any more; its `Waiting` is told nothing."""
        if self._waiting.pop(id, None) is None:
            return
        if id in self._unsent:
            self._unsent.remove(id)
        else:
            self._cancelled.append(id)

    def next_batch(self) -> bytes:
        """The calls to send now, which count as sent; no bytes if all of them were cancelled."""
        calls = [call for call in self._outbox.take() if call.id in self._unsent]
        self._unsent.difference_update([call.id for call in calls])
        cancelled, self._cancelled = self._cancelled, []
        return codec.encode(messages.CallBatch(calls=calls, cancelled=cancelled))

    def receive(self, raw: bytes) -> None:
        """Hand out the replies of a batch; raises DecodeError if it is none."""
        for reply in codec.decode(messages.ReplyBatch, raw).replies:
            self._hand_out(reply)

    def _hand_out(self, reply: messages.Reply) -> None:
        if reply.is_more_to_come:
            waiting = self._waiting.get(reply.id)
            if waiting is not None:
                waiting.received(reply.responses)
            return
        waiting = self._waiting.pop(reply.id, None)
        # Without one the call was cancelled before the sidecar had heard of it.
        if waiting is None:
            return
        if reply.responses:
            waiting.received(reply.responses)
        waiting.ended(CallFailure(reply.status, reply.details) if reply.status else None)

    def end(self, failure: CallFailure) -> None:
        """End every call, since the stream has ended."""
        waiting, self._waiting = self._waiting, {}
        unsent, self._unsent = self._unsent, set()
        for id, each in waiting.items():
            each.ended(failure._replace(was_sent=id not in unsent))


def _size_of(method: Method, payload: bytes, metadata: list[messages.CallMetadata]) -> int:
    """More bytes than such a call adds to its batch."""
    size = len(payload) + len(method.name) + batch_stream.ENTRY_BYTES
    if metadata:
        size += sum(len(each.key) + len(each.value) + batch_stream.ENTRY_BYTES for each in metadata)
    return size
