# Generated from async_calls.py by `hatch run generate`; do not edit.
"""Calls over gRPC from ordinary threads.

The first call on a channel detects the engine, as a part of its first attempt. What gRPC raises
reaches the caller as an error of `errors.py`, after the repetitions that `retry.py` allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from durabletask.protocol import messages, methods
from durabletask.transport import sync_io as io
from durabletask.transport.engine_detection import Detection
from durabletask.transport.errors import SidecarError
from durabletask.transport.grpc_call import GrpcCall, GrpcTransportBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.batched_calls import BatchedCalls
    from durabletask.transport.channel import Connection
    from durabletask.transport.engine_detection import Engine

R = TypeVar("R")


class GrpcTransport(GrpcTransportBase[grpc.Channel]):
    """Calls from ordinary threads. See `durabletask.transport.Transport`."""

    error_base = grpc.RpcError

    def identify_engine(
        self,
        *,
        timeout: float | None = None,
    ) -> Engine:
        call = GrpcCall(self, methods.HELLO, messages.Empty(), timeout)

        def attempt() -> Engine:
            return self._engine(call, self.source.connection())

        return self._repeat(call, attempt)

    def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Any:
        call = GrpcCall(self, method, request, timeout)

        def attempt() -> bytes:
            connection = self.source.connection()
            payload = call.payload(self._engine(call, connection))
            # On a fresh channel the detection has said Hello already: once is enough.
            if call.answer_of_detection is not None and not metadata:
                return call.answer_of_detection
            return io.send(self, connection, call, payload, metadata)

        return call.response(self._repeat(call, attempt))

    def collect(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> list[Any]:
        call = GrpcCall(self, method, request, timeout)

        def attempt() -> list[bytes]:
            connection = self.source.connection()
            payload = call.payload(self._engine(call, connection))
            send = connection.stream(method.path)
            return io.all_of(
                send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))
            )

        return [call.response(raw) for raw in self._repeat(call, attempt)]

    def _repeat(self, call: GrpcCall, attempt: io.Attempt[R]) -> R:
        """Make an attempt as often as the call allows."""
        while True:
            call.begin()
            try:
                return attempt()
            except grpc.RpcError as error:
                if isinstance(error, SidecarError):
                    raise  # It is complete already, and no repetition changes it.
                self.clock.pause(call.pause_after(error))
            except io.CANCELLED:
                if io.is_caller_cancelled():
                    raise
                raise RuntimeError("The client was closed during the call") from None

    def _engine(self, call: GrpcCall, connection: Connection[grpc.Channel]) -> Engine:
        """The engine at the other end. One caller detects it; the others wait for the result."""
        known = self.known_engine(connection)
        if known is not None:
            return known
        is_acquired = io.acquire(connection.detecting, call.left())
        try:
            # Closed meanwhile? This error is clearer than gRPC's for a closed channel.
            self.source.connection()
            # A caller that waited for too long asks too: gRPC then raises DEADLINE_EXCEEDED.
            return self.known_engine(connection) or self._detect(call, connection)
        finally:
            if is_acquired:
                connection.detecting.release()

    def _detect(self, call: GrpcCall, connection: Connection[grpc.Channel]) -> Engine:
        detection = Detection()
        while detection.engine is None:
            question = detection.question
            send = connection.unary(question.method.path)
            try:
                raw, metadata = io.ask(send, question.payload, call.left(), self.metadata)
            except grpc.RpcError as error:
                call.detection_failed(detection, error)
            else:
                call.detection_answered(detection, raw, metadata)
        return self.remember(connection, detection.engine)

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Responses:
        # Detection has the limit of a unary call, even where the stream has none.
        call = GrpcCall(self, method, request, timeout)
        connection = self.source.connection()

        def start(engine: Engine) -> Any:
            send = connection.stream(method.path)
            payload = call.payload(engine)
            call.begin_stream(timeout)
            return send(payload, timeout=timeout, metadata=(*self.metadata, *metadata))

        def start_later() -> Any:
            return start(self._engine(call, connection))

        known = self.known_engine(connection)
        return Responses(call, None if known is None else start(known), start_later)

    def batched_calls(self) -> BatchedCalls | None:
        """Calls in batches, if the engine is known by now and takes them."""
        return io.batched_calls(self, self.source.connection())

    def close(self) -> None:
        connection = self.source.take()
        if connection is not None:
            io.close(connection)


class Responses:
    """The responses of one streaming call. See `durabletask.transport.ByteStream`.

    Where the engine is not known yet, the first `__next__` starts the call.
    """

    def __init__(self, call: GrpcCall, rpc: Any | None, start_later: io.Attempt[Any]) -> None:
        self._call = call
        self._rpc = rpc
        self._start_later = start_later
        self._responses = None if rpc is None else iter(rpc)
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._closed and self._rpc is None:
            raise StopIteration
        try:
            response: bytes = next(self._started())
        except grpc.RpcError as error:
            if self._closed:
                raise StopIteration from None
            if isinstance(error, SidecarError):
                raise
            raise self._call.error(error) from None
        except io.CANCELLED:
            if io.is_caller_cancelled():
                raise
            raise StopIteration from None
        return response

    def close(self) -> None:
        self._closed = True
        if self._rpc is not None:
            self._rpc.cancel()

    def _started(self) -> Any:
        if self._responses is None:
            self._rpc = self._start_later()
            self._responses = iter(self._rpc)
            if self._closed:
                self._rpc.cancel()
        return self._responses
