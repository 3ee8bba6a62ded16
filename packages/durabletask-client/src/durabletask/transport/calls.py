"""Calls over gRPC: a message out; a message, all messages or a stream of bytes back.

gRPC carries bytes; our codec encodes and decodes. What gRPC raises leaves as an error of
our tree, after the repetitions that `retry.py` allows.

Decides nothing: it does what `retry.py`, `health.py` and `refusals.py` say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import grpc
import grpc.aio

from durabletask.protocol import codec
from durabletask.transport import DEFAULT_TIMEOUT
from durabletask.transport.channel import C
from durabletask.transport.clock import SYSTEM_CLOCK
from durabletask.transport.errors import ProtocolError, Refusal
from durabletask.transport.grpc_errors import error_for, failure_of, refusal_of
from durabletask.transport.retry import Retries, Safety, safety_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel import ChannelSource
    from durabletask.transport.clock import Clock
    from durabletask.transport.errors import SidecarError
    from durabletask.transport.health import ChannelHealth

R = TypeVar("R")


class _Calls(Generic[C]):
    """What calls from threads and calls from an event loop have in common."""

    error_base: ClassVar[type[grpc.RpcError]]

    def __init__(
        self,
        source: ChannelSource[C],
        *,
        metadata: Metadata,
        dialect: Dialect,
        patience: float,
        health: ChannelHealth,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.source = source
        self.metadata = metadata
        self.dialect = dialect
        self.patience = patience
        self.health = health
        self.clock = clock

    @property
    def address(self) -> str:
        """The sidecar's address, for people to read."""
        return self.source.label


class _Call:
    """One call: its bytes, its repetitions and its texts; everything but the call itself."""

    def __init__(
        self, calls: _Calls[Any], method: Method, request: Any, timeout: float | None
    ) -> None:
        self._calls = calls
        self._method = method
        # Of a oneof, and so None, where a request is about many instances.
        self._instance_id: str = getattr(request, "instance_id", None) or ""
        self._timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        self._safety = safety_of(method.name)
        deadline = calls.clock.now() + self._timeout
        self._retries = Retries(self._safety, deadline, calls.patience, calls.health.has_answered)
        self.payload = codec.encode(request, calls.dialect)

    def begin(self) -> float:
        """Begin an attempt; returns the seconds that it may take."""
        return self._retries.begin(self._calls.clock.now())

    def pause_after(self, cause: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises if there shall be none."""
        clock = self._calls.clock
        pause = self._retries.pause_after(failure_of(cause), now=clock.now(), jitter=clock.jitter())
        if pause is None:
            # What gRPC said is all in our error; its traceback would hide the text.
            raise self.error(cause) from None
        return pause

    def error(self, cause: grpc.RpcError) -> SidecarError:
        """The error of our tree that `cause` means."""
        refusal = refusal_of(
            cause,
            address=self._calls.address,
            method=self._method.name,
            instance_id=self._instance_id,
            timeout=self._timeout,
        )
        self._note(refusal.status)
        return error_for(refusal, self._calls.error_base)

    def _note(self, status: str) -> None:
        if self._safety is Safety.WAIT and status == "DEADLINE_EXCEEDED":
            return  # What was waited for did not happen: that is an answer.
        if self._calls.health.is_renewal_due(status, self._calls.clock.now()):
            self._calls.source.renew()

    def response(self, raw: bytes) -> Any:
        """Decode the response."""
        self._calls.health.answered()
        try:
            return codec.decode(self._method.response_class(), raw, self._calls.dialect)
        except codec.DecodeError as error:
            refusal = Refusal(
                address=self._calls.address,
                method=self._method.name,
                status="INTERNAL",
                details=f"{len(raw)} bytes that cannot be read ({error})",
                instance_id=self._instance_id,
            )
            raise error_for(refusal, self._calls.error_base, ProtocolError) from error


class GrpcTransport(_Calls[grpc.Channel]):
    """Calls from ordinary threads. See `durabletask.transport.Transport`."""

    error_base = grpc.RpcError

    def unary(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Any:
        call = _Call(self, method, request, timeout)

        def attempt(left: float) -> bytes:
            send = self.source.connection().unary(method.path)
            raw: bytes = send(call.payload, timeout=left, metadata=(*self.metadata, *metadata))
            return raw

        return call.response(self._repeat(call, attempt))

    def collect(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> list[Any]:
        call = _Call(self, method, request, timeout)

        def attempt(left: float) -> list[bytes]:
            send = self.source.connection().stream(method.path)
            return [*send(call.payload, timeout=left, metadata=(*self.metadata, *metadata))]

        return [call.response(raw) for raw in self._repeat(call, attempt)]

    def _repeat(self, call: _Call, attempt: Callable[[float], R]) -> R:
        """Make an attempt, which is told the seconds it may take, as often as the call allows."""
        while True:
            try:
                return attempt(call.begin())
            except grpc.RpcError as error:
                self.clock.pause(call.pause_after(error))

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Responses:
        call = _Call(self, method, request, timeout)
        send = self.source.connection().stream(method.path)
        rpc = send(call.payload, timeout=timeout, metadata=(*self.metadata, *metadata))
        return Responses(call, rpc)

    def close(self) -> None:
        channel = self.source.take()
        if channel is not None:
            channel.close()


class Responses:
    """The responses of one streaming call. See `durabletask.transport.ByteStream`."""

    def __init__(self, call: _Call, rpc: Any) -> None:
        self._call = call
        self._rpc = rpc
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            response: bytes = next(self._rpc)
        except grpc.RpcError as error:
            if self._closed:
                raise StopIteration from None
            raise self._call.error(error) from None
        return response

    def close(self) -> None:
        self._closed = True
        self._rpc.cancel()


class GrpcAsyncTransport(_Calls[grpc.aio.Channel]):
    """Calls from an event loop. See `durabletask.transport.AsyncTransport`."""

    error_base = grpc.aio.AioRpcError

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> Any:
        call = _Call(self, method, request, timeout)

        async def attempt(left: float) -> bytes:
            send = self.source.connection().unary(method.path)
            raw: bytes = await send(
                call.payload, timeout=left, metadata=(*self.metadata, *metadata)
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
        call = _Call(self, method, request, timeout)

        async def attempt(left: float) -> list[bytes]:
            send = self.source.connection().stream(method.path)
            responses = send(call.payload, timeout=left, metadata=(*self.metadata, *metadata))
            return [raw async for raw in responses]

        return [call.response(raw) for raw in await self._repeat(call, attempt)]

    async def _repeat(self, call: _Call, attempt: Callable[[float], Awaitable[R]]) -> R:
        """Make an attempt, which is told the seconds it may take, as often as the call allows."""
        while True:
            try:
                return await attempt(call.begin())
            except grpc.aio.AioRpcError as error:
                await self.clock.pause_async(call.pause_after(error))
            except asyncio.CancelledError:
                if _caller_cancelled():
                    raise
                raise RuntimeError("The client was closed during the call") from None

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> AsyncResponses:
        call = _Call(self, method, request, timeout)
        send = self.source.connection().stream(method.path)
        rpc = send(call.payload, timeout=timeout, metadata=(*self.metadata, *metadata))
        return AsyncResponses(call, rpc)

    async def close(self) -> None:
        channel = self.source.take()
        if channel is not None:
            await channel.close()


class AsyncResponses:
    """The responses of one streaming call. See `durabletask.transport.AsyncByteStream`."""

    def __init__(self, call: _Call, rpc: Any) -> None:
        self._call = call
        self._rpc = rpc
        self._responses = aiter(rpc)
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            response: bytes = await anext(self._responses)
        except grpc.aio.AioRpcError as error:
            if self._closed:
                raise StopAsyncIteration from None
            raise self._call.error(error) from None
        except asyncio.CancelledError:
            if _caller_cancelled():
                raise
            raise StopAsyncIteration from None
        return response

    async def aclose(self) -> None:
        self._closed = True
        self._rpc.cancel()


def _caller_cancelled() -> bool:
    """Tell a caller that was cancelled from a call that was cancelled under it.

    gRPC raises CancelledError for both; passed on, the second would look to the caller's
    task group as if somebody had cancelled the task.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
