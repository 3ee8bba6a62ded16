"""Calls over gRPC from ordinary threads. See `call.py`.

Who is at the other end, the first call on a channel finds out as a part of its first attempt.
What gRPC raises leaves as an error of our tree, after the repetitions that `retry.py` allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from durabletask.protocol import messages, methods
from durabletask.transport.call import Call, Calls
from durabletask.transport.errors import SidecarError
from durabletask.transport.inquiry import Inquiry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel import Connection
    from durabletask.transport.dialect import Engine

R = TypeVar("R")


class GrpcTransport(Calls[grpc.Channel]):
    """Calls from ordinary threads. See `durabletask.transport.Transport`."""

    error_base = grpc.RpcError

    def settle(self, *, timeout: float | None = None) -> Engine:
        call = Call(self, methods.HELLO, messages.Empty(), timeout)
        return self._repeat(call, lambda: self._engine(call, self.source.connection()))

    def unary(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Any:
        call = Call(self, method, request, timeout)

        def attempt() -> bytes:
            connection = self.source.connection()
            payload = call.payload(self._engine(call, connection))
            send = connection.unary(method.path)
            raw: bytes = send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))
            return raw

        return call.response(self._repeat(call, attempt))

    def collect(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> list[Any]:
        call = Call(self, method, request, timeout)

        def attempt() -> list[bytes]:
            connection = self.source.connection()
            payload = call.payload(self._engine(call, connection))
            send = connection.stream(method.path)
            return [*send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))]

        return [call.response(raw) for raw in self._repeat(call, attempt)]

    def _repeat(self, call: Call, attempt: Callable[[], R]) -> R:
        """Make an attempt as often as the call allows."""
        while True:
            call.begin()
            try:
                return attempt()
            except grpc.RpcError as error:
                if isinstance(error, SidecarError):
                    raise  # It says all there is to say, and no repetition changes it.
                self.clock.pause(call.pause_after(error))

    def _engine(self, call: Call, connection: Connection[grpc.Channel]) -> Engine:
        """Who is at the other end. One thread asks; the others wait for what it learns."""
        known = self.known(connection)
        if known is not None:
            return known
        is_ours_to_ask = connection.finding_out.acquire(timeout=call.left())
        try:
            # If it was closed meanwhile, this says so better than a channel that is closed.
            self.source.connection()
            # A thread that waited for too long asks too: with no time left, gRPC says so.
            return self.known(connection) or self._find_out(call, connection)
        finally:
            if is_ours_to_ask:
                connection.finding_out.release()

    def _find_out(self, call: Call, connection: Connection[grpc.Channel]) -> Engine:
        inquiry = Inquiry()
        while inquiry.engine is None:
            question = inquiry.question
            send = connection.unary(question.method.path)
            try:
                _, rpc = send.with_call(
                    question.payload, timeout=call.left(), metadata=self.metadata
                )
            except grpc.RpcError as error:
                call.ask(inquiry, error)
            else:
                inquiry.answered(rpc.initial_metadata())
        return self.remember(connection, inquiry.engine)

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Responses:
        # The time to find out who is there is limited, even where that of the stream is not.
        call = Call(self, method, request, timeout)
        connection = self.source.connection()

        def start(engine: Engine) -> Any:
            send = connection.stream(method.path)
            payload = call.payload(engine)
            call.begin_stream(timeout)
            return send(payload, timeout=timeout, metadata=(*self.metadata, *metadata))

        known = self.known(connection)
        if known is not None:
            return Responses(call, start(known))
        return Responses(call, None, lambda: start(self._engine(call, connection)))

    def close(self) -> None:
        channel = self.source.take()
        if channel is not None:
            channel.close()


class Responses:
    """The responses of one streaming call. See `durabletask.transport.ByteStream`.

    Where it has yet to be found out who is there, the first `__next__` starts the call.
    """

    def __init__(
        self, call: Call, rpc: Any | None, start_later: Callable[[], Any] | None = None
    ) -> None:
        self._call = call
        self._rpc = rpc
        self._start_later = start_later
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
        return response

    def close(self) -> None:
        self._closed = True
        if self._rpc is not None:
            self._rpc.cancel()

    def _started(self) -> Any:
        if self._rpc is None:
            assert self._start_later is not None
            self._rpc = self._start_later()
            if self._closed:
                self._rpc.cancel()
        return self._rpc
