"""Calls over gRPC from an event loop: the same as `calls.py`, awaited. See `call.py`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio

from durabletask.protocol import messages, methods
from durabletask.transport.call import Call, Calls
from durabletask.transport.errors import SidecarError
from durabletask.transport.inquiry import Inquiry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel import Connection
    from durabletask.transport.dialect import Engine

R = TypeVar("R")


class GrpcAsyncTransport(Calls[grpc.aio.Channel]):
    """Calls from an event loop. See `durabletask.transport.AsyncTransport`."""

    error_base = grpc.aio.AioRpcError

    async def settle(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
    ) -> Engine:
        call = Call(self, methods.HELLO, messages.Empty(), timeout)
        return await self._repeat(call, lambda: self._engine(call, self.source.connection()))

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> Any:
        call = Call(self, method, request, timeout)

        async def attempt() -> bytes:
            connection = self.source.connection()
            payload = call.payload(await self._engine(call, connection))
            send = connection.unary(method.path)
            raw: bytes = await send(
                payload, timeout=call.left(), metadata=(*self.metadata, *metadata)
            )
            return raw

        return call.response(await self._repeat(call, attempt))

    async def collect(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> list[Any]:
        call = Call(self, method, request, timeout)

        async def attempt() -> list[bytes]:
            connection = self.source.connection()
            payload = call.payload(await self._engine(call, connection))
            send = connection.stream(method.path)
            responses = send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))
            return [raw async for raw in responses]

        return [call.response(raw) for raw in await self._repeat(call, attempt)]

    async def _repeat(self, call: Call, attempt: Callable[[], Awaitable[R]]) -> R:
        """Make an attempt as often as the call allows."""
        while True:
            call.begin()
            try:
                return await attempt()
            except grpc.aio.AioRpcError as error:
                if isinstance(error, SidecarError):
                    raise  # It says all there is to say, and no repetition changes it.
                await self.clock.pause_async(call.pause_after(error))
            except asyncio.CancelledError:
                if _caller_cancelled():
                    raise
                raise RuntimeError("The client was closed during the call") from None

    async def _engine(self, call: Call, connection: Connection[grpc.aio.Channel]) -> Engine:
        """Who is at the other end. One task asks; the others wait for what it learns."""
        known = self.known(connection)
        if known is not None:
            return known
        is_ours_to_ask = await _acquired(connection.finding_out, call.left())
        try:
            # If it was closed meanwhile, this says so better than a channel that is closed.
            self.source.connection()
            # A task that waited for too long asks too: with no time left, gRPC says so.
            return self.known(connection) or await self._find_out(call, connection)
        finally:
            if is_ours_to_ask:
                connection.finding_out.release()

    async def _find_out(self, call: Call, connection: Connection[grpc.aio.Channel]) -> Engine:
        inquiry = Inquiry()
        while inquiry.engine is None:
            question = inquiry.question
            send = connection.unary(question.method.path)
            rpc = send(question.payload, timeout=call.left(), metadata=self.metadata)
            try:
                await rpc
            except grpc.aio.AioRpcError as error:
                call.ask(inquiry, error)
            else:
                inquiry.answered(await rpc.initial_metadata())
        return self.remember(connection, inquiry.engine)

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> AsyncResponses:
        call = Call(self, method, request, timeout)
        connection = self.source.connection()

        def start(engine: Engine) -> Any:
            send = connection.stream(method.path)
            payload = call.payload(engine)
            call.begin_stream(timeout)
            return send(payload, timeout=timeout, metadata=(*self.metadata, *metadata))

        known = self.known(connection)
        if known is not None:
            return AsyncResponses(call, start(known))

        async def start_later() -> Any:
            return start(await self._engine(call, connection))

        return AsyncResponses(call, None, start_later)

    async def close(self) -> None:
        channel = self.source.take()
        if channel is not None:
            await channel.close()


class AsyncResponses:
    """The responses of one streaming call. See `durabletask.transport.AsyncByteStream`.

    Where it has yet to be found out who is there, the first `__anext__` starts the call.
    """

    def __init__(
        self,
        call: Call,
        rpc: Any | None,
        start_later: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
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
        except asyncio.CancelledError:
            if _caller_cancelled():
                raise
            raise StopAsyncIteration from None
        return response

    async def aclose(self) -> None:
        self._closed = True
        if self._rpc is not None:
            self._rpc.cancel()

    async def _started(self) -> Any:
        if self._responses is None:
            assert self._start_later is not None
            self._rpc = await self._start_later()
            self._responses = aiter(self._rpc)
            if self._closed:
                self._rpc.cancel()
        return self._responses


async def _acquired(lock: asyncio.Lock, timeout: float) -> bool:  # noqa: ASYNC109 - of a call
    try:
        async with asyncio.timeout(timeout):
            return await lock.acquire()
    except TimeoutError:
        return False


def _caller_cancelled() -> bool:
    """Tell a caller that was cancelled from a call that was cancelled under it.

    gRPC raises CancelledError for both; passed on, the second would look to the caller's
    task group as if somebody had cancelled the task.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
