"""Calls over gRPC from an event loop.

The first call on a channel detects the engine, as a part of its first attempt. What gRPC raises
reaches the caller as an error of `errors.py`, after the repetitions that `retry.py` allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio

from durabletask.protocol import messages, methods
from durabletask.transport import async_io as io
from durabletask.transport.engine_detection import Detection
from durabletask.transport.errors import SidecarError
from durabletask.transport.grpc_call import GrpcCall, GrpcTransportBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.batched_calls import BatchedCalls
    from durabletask.transport.channel import Connection
    from durabletask.transport.engine_detection import Engine

R = TypeVar("R")


class GrpcAsyncTransport(GrpcTransportBase[grpc.aio.Channel]):
    """Calls from an event loop. See `durabletask.transport.AsyncTransport`."""

    error_base = grpc.aio.AioRpcError

    async def identify_engine(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
    ) -> Engine:
        call = GrpcCall(self, methods.HELLO, messages.Empty(), timeout)

        async def attempt() -> Engine:
            return await self._engine(call, self.source.connection())

        return await self._repeat(call, attempt)

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
        metadata: Metadata = (),
    ) -> Any:
        call = GrpcCall(self, method, request, timeout)

        async def attempt() -> bytes:
            connection = self.source.connection()
            payload = call.payload(await self._engine(call, connection))
            # On a fresh channel the detection has said Hello already: once is enough.
            if call.answer_of_detection is not None and not metadata:
                return call.answer_of_detection
            return await io.send(self, connection, call, payload, metadata)

        return call.response(await self._repeat(call, attempt))

    async def collect(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
        metadata: Metadata = (),
    ) -> list[Any]:
        call = GrpcCall(self, method, request, timeout)

        async def attempt() -> list[bytes]:
            connection = self.source.connection()
            payload = call.payload(await self._engine(call, connection))
            send = connection.stream(method.path)
            return await io.all_of(
                send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))
            )

        return [call.response(raw) for raw in await self._repeat(call, attempt)]

    async def _repeat(self, call: GrpcCall, attempt: io.Attempt[R]) -> R:
        """Make an attempt as often as the call allows."""
        while True:
            call.begin()
            try:
                return await attempt()
            except grpc.aio.AioRpcError as error:
                if isinstance(error, SidecarError):
                    raise  # It is complete already, and no repetition changes it.
                await self.clock.pause_async(call.pause_after(error))
            except io.CANCELLED:
                if io.is_caller_cancelled():
                    raise
                raise RuntimeError("The client was closed during the call") from None

    async def _engine(self, call: GrpcCall, connection: Connection[grpc.aio.Channel]) -> Engine:
        """The engine at the other end. One caller detects it; the others wait for the result."""
        known = self.known_engine(connection)
        if known is not None:
            return known
        is_acquired = await io.acquire(connection.detecting, call.left())
        try:
            # Closed meanwhile? This error is clearer than gRPC's for a closed channel.
            self.source.connection()
            # A caller that waited for too long asks too: gRPC then raises DEADLINE_EXCEEDED.
            return self.known_engine(connection) or await self._detect(call, connection)
        finally:
            if is_acquired:
                connection.detecting.release()

    async def _detect(self, call: GrpcCall, connection: Connection[grpc.aio.Channel]) -> Engine:
        detection = Detection()
        while detection.engine is None:
            question = detection.question
            send = connection.unary(question.method.path)
            try:
                raw, metadata = await io.ask(send, question.payload, call.left(), self.metadata)
            except grpc.aio.AioRpcError as error:
                call.detection_failed(detection, error)
            else:
                call.detection_answered(detection, raw, metadata)
        return self.remember(connection, detection.engine)

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> AsyncResponses:
        # Detection has the limit of a unary call, even where the stream has none.
        call = GrpcCall(self, method, request, timeout)
        connection = self.source.connection()

        def start(engine: Engine) -> Any:
            send = connection.stream(method.path)
            payload = call.payload(engine)
            call.begin_stream(timeout)
            return send(payload, timeout=timeout, metadata=(*self.metadata, *metadata))

        async def start_later() -> Any:
            return start(await self._engine(call, connection))

        known = self.known_engine(connection)
        return AsyncResponses(call, None if known is None else start(known), start_later)

    def batched_calls(self) -> BatchedCalls | None:
        """Calls in batches, if the engine is known by now and takes them."""
        return io.batched_calls(self, self.source.connection())

    async def close(self) -> None:
        connection = self.source.take()
        if connection is not None:
            await io.close(connection)


class AsyncResponses:
    """The responses of one streaming call. See `durabletask.transport.AsyncByteStream`.

    Where the engine is not known yet, the first `__anext__` starts the call.
    """

    def __init__(self, call: GrpcCall, rpc: Any | None, start_later: io.Attempt[Any]) -> None:
        self._call = call
        self._rpc = rpc
        self._start_later = start_later
        self._responses = None if rpc is None else aiter(rpc)
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed and self._rpc is None:
            raise StopAsyncIteration
        try:
            response: bytes = await anext(await self._started())
        except grpc.aio.AioRpcError as error:
            if self._closed:
                raise StopAsyncIteration from None
            if isinstance(error, SidecarError):
                raise
            raise self._call.error(error) from None
        except io.CANCELLED:
            if io.is_caller_cancelled():
                raise
            raise StopAsyncIteration from None
        return response

    async def aclose(self) -> None:
        self._closed = True
        if self._rpc is not None:
            self._rpc.cancel()

    async def _started(self) -> Any:
        if self._responses is None:
            self._rpc = await self._start_later()
            self._responses = aiter(self._rpc)
            if self._closed:
                self._rpc.cancel()
        return self._responses
