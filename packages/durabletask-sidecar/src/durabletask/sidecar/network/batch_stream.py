"""Serve the stream on which an SDK of this project makes its calls in batches.

    messages --read--> calls --CallRunner--> replies --written when the last write is done--> messages

Each call is admitted, carried out, counted and refused as it is by itself; only the messages are
shared. A stream is ended by its peer, or with the sidecar, once what it was asked is answered.

What waits to be written is bounded: a peer that does not read gets no more work items than it
has slots for, and while much waits for it, nothing more is read from it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import batch_stream, codec, messages, methods
from durabletask.protocol.in_process import Failure
from durabletask.protocol.metadata_keys import MAX_MESSAGE_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from durabletask.protocol.methods import Method
    from durabletask.sidecar.service.call_runner import CallRunner

    Context = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.RpcMethodHandler[bytes, bytes]

_METHODS = {method.name: method for method in methods.ALL}

# Bytes that may wait for a peer before nothing more is read from it.
_MOST_WAITING = 4 * batch_stream.FULL_BATCH
# What a peer receives that announces no limit: gRPC's default.
_DEFAULT_LIMIT = 4 * 1024 * 1024
# Bytes that a stream of responses may be ahead of what is written. As little as a connection
# buffers anyway; and enough to go on without waiting for each write.
_AHEAD = 64 * 1024
# More than what a response adds to its bytes in a reply.
_LENGTH_BYTES = 8
# The largest limit that gRPC accepts; no message can be larger.
_NO_LIMIT = 2**31 - 1


def offer(message_bytes: int | None) -> tuple[str, str]:
    """The metadata that offers the stream to those who say Hello."""
    return batch_stream.OFFER_KEY, str(min(message_bytes or _NO_LIMIT, _NO_LIMIT))


class BatchStreams:
    """All batch streams of a sidecar."""

    def __init__(self, runner: CallRunner) -> None:
        self._runner = runner
        self._open: set[_BatchStream] = set()

    def handlers(self) -> grpc.GenericRpcHandler:
        exchange: Handler = grpc.stream_stream_rpc_method_handler(self._exchange)
        return grpc.method_handlers_generic_handler(
            batch_stream.SERVICE, {batch_stream.METHOD: exchange}
        )

    def close(self) -> None:
        """Take no more calls; each stream ends once its calls are answered."""
        for stream in self._open:
            stream.close()

    async def _exchange(self, _requests: Any, context: Context) -> None:
        stream = _BatchStream(self._runner, context)
        self._open.add(stream)
        try:
            await stream.serve()
        finally:
            self._open.discard(stream)


class _IdInUseError(Exception):
    """A call has the id of another that is under way, so no reply could say which it is for."""

    def __init__(self, id: int) -> None:
        super().__init__(
            f"{id} is the id of a call that is under way on this stream: give each call an id of "
            "its own until it is answered or cancelled"
        )


class _Call:
    """A call that is not answered yet. Another may have its id once it is cancelled."""

    __slots__ = ("cancel", "id", "method")

    def __init__(self, id: int, method: Method) -> None:
        self.id = id
        self.method = method
        self.cancel: Callable[[], object] | None = None
        """Ends the call; None while it begins and once it has ended.

        It refers to this call in turn: only the garbage collector would free the two.
        """


class _BatchStream:
    """One stream."""

    def __init__(self, runner: CallRunner, context: Context) -> None:
        self._runner = runner
        self._context = context
        metadata = dict(context.invocation_metadata() or ())
        self._limit = _limit(metadata)
        # A response is a little larger in a batch than by itself.
        metadata[MAX_MESSAGE_KEY] = str(self._limit - batch_stream.ENTRY_BYTES)
        self._metadata = tuple(metadata.items())
        self._outbox: batch_stream.Outbox[messages.Reply] = batch_stream.Outbox(
            min(self._limit, batch_stream.FULL_BATCH)
        )
        self._running: dict[int, _Call] = {}
        """The calls that are not answered yet, by their ids."""
        self._added = 0
        self._written = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        """Who waits until that many replies are written."""
        self._wake = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Serve the stream until its peer, or `close`, ends it."""
        await self._context.send_initial_metadata((offer(None),))
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda _: self._wake.set())
        try:
            await self._write()
            if self._reading.done() and not self._reading.cancelled():
                self._reading.result()
        except (codec.DecodeError, _IdInUseError) as error:
            await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self.close()
            self._cancel_all()

    def close(self) -> None:
        """Read no more calls."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        """Begin calls as they come; if a message cannot be read, all of them end."""
        try:
            while (batch := await self._next_batch()) is not None:
                self._runner.together(partial(self._proceed, batch))
        except Exception:
            self._cancel_all()
            raise

    async def _next_batch(self) -> messages.CallBatch | None:
        await self._wait_written(self._added if self._outbox.size > _MOST_WAITING else 0)
        raw: Any = await self._context.read()
        return None if raw is grpc.aio.EOF else codec.decode(messages.CallBatch, raw)

    def _proceed(self, batch: messages.CallBatch) -> None:
        for call in batch.calls:
            self._begin(call)
        for id in batch.cancelled:
            self._cancel(id)

    def _begin(self, call: messages.BatchedCall) -> None:
        if call.id in self._running:
            raise _IdInUseError(call.id)
        method = _METHODS.get(call.method)
        if method is None:
            self._end(call.id, Failure("UNIMPLEMENTED", "Method not found!"))
            return
        try:
            request = codec.decode(method.request_class(), call.request, method.sdk_dialect)
        except codec.DecodeError as error:
            said = codec.DecodeError(f"{method.name} needs a {method.request}, but: {error}")
            self._end(call.id, self._runner.refuse(method, said, self._metadata))
            return
        metadata = self._metadata
        if call.metadata:
            metadata = (*metadata, *_additional(call))
        running = self._running[call.id] = _Call(call.id, method)
        carry_out = self._stream if method.response_streaming else self._call
        cancel = carry_out(running, request, metadata)
        if self._is_running(running):
            running.cancel = cancel

    def _cancel(self, id: int) -> None:
        call = self._running.pop(id, None)
        if call is not None and call.cancel is not None:
            cancel, call.cancel = call.cancel, None
            cancel()
            self._wake.set()

    def _is_running(self, call: _Call) -> bool:
        return self._running.get(call.id) is call

    def _ended(self, call: _Call) -> bool:
        """Take note that the call has ended; False if nobody waits for its answer any more."""
        if not self._is_running(call):
            return False
        del self._running[call.id]
        call.cancel = None
        return True

    def _cancel_all(self) -> None:
        for id in list(self._running):
            self._cancel(id)

    def _call(
        self, call: _Call, request: Any, metadata: batch_stream.Metadata
    ) -> Callable[[], object]:
        def answered(response: Any, failure: Failure | None) -> None:
            if not self._ended(call):
                return
            if failure is None:
                self._respond(call.id, call.method, response)
            else:
                self._end(call.id, failure)

        return self._runner.call(call.method, request, metadata, answered)

    def _respond(self, id: int, method: Method, response: Any) -> None:
        try:
            raw = codec.encode(response, method.sdk_dialect)
        except codec.EncodeError as error:
            self._end(id, self._runner.refuse(method, error, self._metadata))
            return
        if len(raw) + batch_stream.ENTRY_BYTES > self._limit:
            # As gRPC says it of a message by itself.
            text = f"CLIENT: Received message larger than max ({len(raw)} vs. {self._limit})"
            self._end(id, Failure("RESOURCE_EXHAUSTED", text))
        else:
            self._add(messages.Reply(id=id, responses=[raw]), len(raw))

    def _stream(
        self, call: _Call, request: Any, metadata: batch_stream.Metadata
    ) -> Callable[[], object]:
        def received(responses: Sequence[bytes]) -> Awaitable[None] | None:
            if not self._is_running(call):
                return None
            self._add_responses(call.id, responses)
            return self._wait_written(self._added) if self._outbox.size > _AHEAD else None

        def ended(failure: Failure | None) -> None:
            if self._ended(call):
                self._end(call.id, failure)

        return self._runner.stream(call.method, request, metadata, received, ended)

    def _add_responses(self, id: int, responses: Sequence[bytes]) -> None:
        parts: batch_stream.Outbox[bytes] = batch_stream.Outbox(batch_stream.FULL_BATCH)
        for response in responses:
            parts.add(response, len(response) + _LENGTH_BYTES)
        size = parts.size
        while part := parts.take():
            reply = messages.Reply(id=id, responses=part, is_more_to_come=True)
            self._add(reply, size - parts.size)
            size = parts.size
        if not responses:
            self._add(messages.Reply(id=id, is_more_to_come=True), 0)

    def _end(self, id: int, failure: Failure | None) -> None:
        reply = messages.Reply(id=id)
        if failure is not None:
            reply.status, reply.details = failure
        self._add(reply, 2 * len(reply.details))

    def _add(self, reply: messages.Reply, size: int) -> None:
        self._outbox.add(reply, size + batch_stream.ENTRY_BYTES)
        self._added += 1
        self._wake.set()

    async def _write(self) -> None:
        while await self._has_more():
            replies = self._outbox.take()
            batch = codec.encode(messages.ReplyBatch(replies=replies))
            try:
                await self._context.write(batch)
            except Exception:  # noqa: BLE001 - gRPC has no public name for it
                return  # The peer is gone, and no status can reach it.
            self._note_written(len(replies))

    async def _has_more(self) -> bool:
        """Wait for replies; False once there will be none any more."""
        while not self._outbox:
            if not self._running and self._reading is not None and self._reading.done():
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    def _note_written(self, count: int) -> None:
        self._written += count
        while self._waiting and self._waiting[0][0] <= self._written:
            _, waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)

    async def _wait_written(self, count: int) -> None:
        """Return once so many replies are written."""
        if count > self._written:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append((count, waiting))
            await waiting


def _limit(metadata: dict[str, Any]) -> int:
    """How many bytes a message to the peer may have."""
    announced = str(metadata.get(MAX_MESSAGE_KEY, ""))
    is_valid = announced.isdecimal() and len(announced) <= len(str(_NO_LIMIT))
    return (int(announced) if is_valid else 0) or _DEFAULT_LIMIT


def _additional(call: messages.BatchedCall) -> batch_stream.Metadata:
    """The call's own metadata; its limit on messages is that of the stream."""
    own = batch_stream.from_entries(call.metadata)
    own.pop(MAX_MESSAGE_KEY, None)
    return tuple(own.items())
