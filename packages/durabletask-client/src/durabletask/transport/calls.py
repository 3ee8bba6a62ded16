"""Calls over gRPC: a message out; a message, all messages or a stream of bytes back.

gRPC carries bytes; our codec encodes and decodes, in the dialect of the engine at the other
end. Who that is, the first call on a channel finds out as a part of its first attempt. What
gRPC raises leaves as an error of our tree, after the repetitions that `retry.py` allows.

Decides nothing: it does what `dialect.py`, `retry.py`, `health.py` and `refusals.py` say.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import grpc
import grpc.aio

from durabletask.protocol import codec, messages, methods
from durabletask.transport import DEFAULT_TIMEOUT, unsupported
from durabletask.transport import dialect as dialects
from durabletask.transport.channel import C
from durabletask.transport.clock import SYSTEM_CLOCK
from durabletask.transport.errors import (
    ProtocolError,
    Refusal,
    SidecarError,
    UnsupportedOperationError,
)
from durabletask.transport.grpc_errors import error_for, failure_of, refusal_of
from durabletask.transport.inquiry import Inquiry
from durabletask.transport.refusals import undecided
from durabletask.transport.retry import Retries, Safety, safety_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel import ChannelSource, Connection
    from durabletask.transport.clock import Clock
    from durabletask.transport.dialect import Engine
    from durabletask.transport.health import ChannelHealth

R = TypeVar("R")

_log = logging.getLogger("durabletask.transport")

_AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


class _Calls(Generic[C]):
    """What calls from threads and calls from an event loop have in common."""

    error_base: ClassVar[type[grpc.RpcError]]

    def __init__(
        self,
        source: ChannelSource[C],
        *,
        metadata: Metadata,
        dialect: Dialect | None,
        patience: float,
        health: ChannelHealth,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.source = source
        self.metadata = metadata
        # Who is there if somebody said so; else each channel finds out, and remembers it.
        self.engine = None if dialect is None else dialects.forced(dialect)
        self.patience = patience
        self.health = health
        self.clock = clock

    @property
    def address(self) -> str:
        """The sidecar's address, for people to read."""
        return self.source.label

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        """The error that a refusal means, or one of that `kind`, as callers expect it here."""
        return error_for(refusal, self.error_base, kind)

    def known(self, connection: Connection[C]) -> Engine | None:
        """Who is at the other end, if that is known already."""
        return self.engine or connection.engine

    def remember(self, connection: Connection[C], engine: Engine) -> Engine:
        """Keep what was found out, for as long as the channel lives."""
        connection.engine = engine
        self.health.answered()
        _log.debug("%s is %s, spoken to in %s.", self.address, engine.name, engine.dialect.name)
        return engine


class _Call:
    """One call: its bytes, its repetitions and its texts; everything but the call itself."""

    def __init__(
        self, calls: _Calls[Any], method: Method, request: Any, timeout: float | None
    ) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        # The question that left undecided who is there, if that is what failed.
        self._undecided_by = ""
        self._instance_id = _instance_of(request)
        self._timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        self._safety = safety_of(method.name)
        deadline = calls.clock.now() + self._timeout
        self._retries = Retries(self._safety, deadline, calls.patience, calls.health.has_answered)
        self._dialect: Dialect | None = None

    def begin(self) -> None:
        """Begin an attempt."""
        self._undecided_by = ""
        self._retries.begin(self._calls.clock.now())

    def left(self) -> float:
        """The seconds that the attempt, and what comes before it, may still take."""
        return self._retries.left(self._calls.clock.now())

    def ask(self, inquiry: Inquiry, error: grpc.RpcError) -> None:
        """Go on with the inquiry after a refusal, or raise what leaves it undecided."""
        self._undecided_by = inquiry.question.method.name
        inquiry.failed(error)
        self._undecided_by = ""

    def payload(self, engine: Engine) -> bytes:
        """The request as this engine reads it, unless it cannot do what is asked."""
        dialect = engine.dialect_of(self._method)
        if dialect is None:
            refusal = Refusal(
                address=self._calls.address,
                method=self._method.name,
                status="UNIMPLEMENTED",
                details=unsupported.method(self._method, engine),
                instance_id=self._instance_id,
                sent=False,
            )
            raise self._calls.error(refusal, UnsupportedOperationError)
        self._dialect = dialect
        return codec.encode(self._request, dialect)

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
        if failure_of(cause).is_end_of_time(self.left()):
            refusal = replace(refusal, status="DEADLINE_EXCEEDED")
        self._note(refusal.status)
        return self._calls.error(self._of_question(refusal))

    def _note(self, status: str) -> None:
        if self._safety is Safety.WAIT and status == "DEADLINE_EXCEEDED":
            return  # What was waited for did not happen: that is an answer.
        if self._calls.health.is_renewal_due(status, self._calls.clock.now()):
            self._calls.source.renew()

    def _of_question(self, refusal: Refusal) -> Refusal:
        # Who is away, or slow, fails the call just as the question before it.
        if not self._undecided_by or refusal.status in _AWAY:
            return refusal
        return replace(refusal, method=self._undecided_by, details=undecided(refusal.details))

    def response(self, raw: bytes) -> Any:
        """Decode the response."""
        self._calls.health.answered()
        assert self._dialect is not None
        try:
            return codec.decode(self._method.response_class(), raw, self._dialect)
        except codec.DecodeError as error:
            refusal = Refusal(
                address=self._calls.address,
                method=self._method.name,
                status="INTERNAL",
                details=f"{len(raw)} bytes that cannot be read ({error})",
                instance_id=self._instance_id,
            )
            raise self._calls.error(refusal, ProtocolError) from error


class GrpcTransport(_Calls[grpc.Channel]):
    """Calls from ordinary threads. See `durabletask.transport.Transport`."""

    error_base = grpc.RpcError

    def settle(self, *, timeout: float | None = None) -> Engine:
        call = _Call(self, methods.HELLO, messages.Empty(), timeout)
        return self._repeat(call, lambda: self._engine(call, self.source.connection()))

    def unary(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Any:
        call = _Call(self, method, request, timeout)

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
        call = _Call(self, method, request, timeout)

        def attempt() -> list[bytes]:
            connection = self.source.connection()
            payload = call.payload(self._engine(call, connection))
            send = connection.stream(method.path)
            return [*send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))]

        return [call.response(raw) for raw in self._repeat(call, attempt)]

    def _repeat(self, call: _Call, attempt: Callable[[], R]) -> R:
        """Make an attempt as often as the call allows."""
        while True:
            call.begin()
            try:
                return attempt()
            except grpc.RpcError as error:
                if isinstance(error, SidecarError):
                    raise  # It says all there is to say, and no repetition changes it.
                self.clock.pause(call.pause_after(error))

    def _engine(self, call: _Call, connection: Connection[grpc.Channel]) -> Engine:
        """Who is at the other end. One thread asks; the others wait for what it learns."""
        known = self.known(connection)
        if known is not None:
            return known
        is_ours_to_ask = connection.finding_out.acquire(timeout=call.left())
        try:
            # A thread that waited for too long asks too: with no time left, gRPC says so.
            return self.known(connection) or self._find_out(call, connection)
        finally:
            if is_ours_to_ask:
                connection.finding_out.release()

    def _find_out(self, call: _Call, connection: Connection[grpc.Channel]) -> Engine:
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
        call = _Call(self, method, request, timeout)
        connection = self.source.connection()

        def start(engine: Engine) -> Any:
            send = connection.stream(method.path)
            payload = call.payload(engine)
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
        self, call: _Call, rpc: Any | None, start_later: Callable[[], Any] | None = None
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


class GrpcAsyncTransport(_Calls[grpc.aio.Channel]):
    """Calls from an event loop. See `durabletask.transport.AsyncTransport`."""

    error_base = grpc.aio.AioRpcError

    async def settle(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
    ) -> Engine:
        call = _Call(self, methods.HELLO, messages.Empty(), timeout)
        return await self._repeat(call, lambda: self._engine(call, self.source.connection()))

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> Any:
        call = _Call(self, method, request, timeout)

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
        call = _Call(self, method, request, timeout)

        async def attempt() -> list[bytes]:
            connection = self.source.connection()
            payload = call.payload(await self._engine(call, connection))
            send = connection.stream(method.path)
            responses = send(payload, timeout=call.left(), metadata=(*self.metadata, *metadata))
            return [raw async for raw in responses]

        return [call.response(raw) for raw in await self._repeat(call, attempt)]

    async def _repeat(self, call: _Call, attempt: Callable[[], Awaitable[R]]) -> R:
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

    async def _engine(self, call: _Call, connection: Connection[grpc.aio.Channel]) -> Engine:
        """Who is at the other end. One task asks; the others wait for what it learns."""
        known = self.known(connection)
        if known is not None:
            return known
        is_ours_to_ask = await _acquired(connection.finding_out, call.left())
        try:
            # A task that waited for too long asks too: with no time left, gRPC says so.
            return self.known(connection) or await self._find_out(call, connection)
        finally:
            if is_ours_to_ask:
                connection.finding_out.release()

    async def _find_out(self, call: _Call, connection: Connection[grpc.aio.Channel]) -> Engine:
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
        call = _Call(self, method, request, timeout)
        connection = self.source.connection()

        def start(engine: Engine) -> Any:
            send = connection.stream(method.path)
            payload = call.payload(engine)
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
        call: _Call,
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


def _instance_of(request: Any) -> str:
    # Of a oneof, and so None, where a request is about many instances.
    names = ("instance_id", "source_instance_id")
    return next((found for name in names if (found := getattr(request, name, None))), "")


def _caller_cancelled() -> bool:
    """Tell a caller that was cancelled from a call that was cancelled under it.

    gRPC raises CancelledError for both; passed on, the second would look to the caller's
    task group as if somebody had cancelled the task.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
