"""The methods that return an orchestration's history, as a stream of chunks or at once.

Events are stored as a work item holds them, so the stream passes them on without decoding.
The history is read once: what is committed while it is sent does not change it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from durabletask.protocol import messages, wire
from durabletask.sidecar.engine.transition import NotFound, instance_not_found
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.encoded_events import decoded, spans

from .calls import INSTANCE_ID, check_length
from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.host import Host
    from durabletask.sidecar.work.streams import Receive

    from .calls import Caller, Deliver

# As large as those of Microsoft's own sidecar, and far below any limit on messages.
_LARGEST_CHUNK = 256 * 1024
# HistoryChunk.events
_EVENTS = 1


class Histories:
    """The methods that return histories."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @asynccontextmanager
    async def stream(
        self, request: messages.StreamInstanceHistoryRequest, caller: Caller
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        instance = self._found(request.instance_id, caller)
        if request.execution_id and request.execution_id != instance.origin.execution_id:
            text = f"'{request.instance_id}' has no execution '{request.execution_id}' any more"
            raise RefusedError(NotFound(text))
        yield _streamed(self._host.reader.history(Key(caller.hub, request.instance_id)))

    @asynccontextmanager
    async def stream_in_batches(
        self, request: messages.StreamInstanceHistoryRequest, caller: Caller
    ) -> AsyncGenerator[Deliver, None]:
        """The same with all chunks at once, for callers that need no pauses between them."""
        async with self.stream(request, caller) as streamed:
            yield partial(_deliver_at_once, streamed)

    async def get(
        self, request: messages.GetInstanceHistoryRequest, caller: Caller
    ) -> messages.GetInstanceHistoryResponse:
        """The same for Dapr's clients, which take it in one message."""
        self._found(request.instance_id, caller)
        history = self._host.reader.history(Key(caller.hub, request.instance_id))
        return messages.GetInstanceHistoryResponse(events=decoded(history))

    def _found(self, instance_id: str, caller: Caller) -> Instance:
        check_length(INSTANCE_ID, instance_id)
        instance = self._host.instance(caller.hub, instance_id)
        if instance is None:
            raise RefusedError(instance_not_found(instance_id))
        return instance


async def _streamed(history: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks(history):
        yield chunk


async def _deliver_at_once(streamed: AsyncIterator[bytes], receive: Receive) -> None:
    taken = receive([chunk async for chunk in streamed])
    if taken is not None:
        await taken


def chunks(history: bytes, most_bytes: int = _LARGEST_CHUNK) -> Iterator[bytes]:
    """The events as messages of a stream; an event that is too large is alone in its message."""
    chunk = bytearray()
    for start, stop in spans(history):
        event = wire.length_delimited(_EVENTS, history[start:stop])
        if chunk and len(chunk) + len(event) > most_bytes:
            yield bytes(chunk)
            chunk.clear()
        chunk += event
    if chunk:
        yield bytes(chunk)
