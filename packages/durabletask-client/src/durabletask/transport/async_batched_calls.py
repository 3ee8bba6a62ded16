"""Calls over the batch stream of a channel, from an event loop and from other threads.

    any thread --call--> posted --one wake-up for many--> event loop --> the stream

A request that is too large for a batch, and any request while the sidecar opens no stream, is a
call by itself. What is decided where: `multiplexer.py` knows who waits for what, and
`async_batch_stream.py` reads and writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from durabletask.protocol import codec
from durabletask.transport.channel_batches import CLOSED
from durabletask.transport.errors import SidecarError
from durabletask.transport.grpc_call import GrpcCall
from durabletask.transport.limits import DEFAULT_TIMEOUT
from durabletask.transport.loop_calls import LoopCalls
from durabletask.transport.multiplexer import LATE, NO_RESPONSE, CallFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.async_batch_stream import AsyncBatchStream
    from durabletask.transport.async_calls import GrpcAsyncTransport
    from durabletask.transport.channel import Connection


async def unary_in_batch(
    stream: AsyncBatchStream,
    method: Method,
    payload: bytes,
    timeout: float,  # noqa: ASYNC109 - the call's own
    metadata: Metadata,
) -> bytes | None:
    """Make a call on an open stream; None if it was certainly not sent.

    Raises what the same call by itself would raise.
    """
    loop = asyncio.get_running_loop()
    waiting = _Response(loop.create_future())
    cancel = stream.call(method, payload, waiting, metadata)
    timer = loop.call_later(timeout, waiting.expire)
    try:
        return await waiting.future
    finally:
        timer.cancel()
        cancel()


class _Response:
    """Waits for the one response of a call, in a future."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[bytes | None]) -> None:
        self.future = future

    def received(self, responses: list[bytes]) -> None:
        if responses and not self.future.done():
            self.future.set_result(responses[0])

    def ended(self, failure: CallFailure | None) -> None:
        if self.future.done():
            return
        failure = failure or NO_RESPONSE
        if failure[:2] == CLOSED[:2]:
            self.future.cancel()
        elif failure.was_sent:
            self.future.set_exception(_grpc_error(failure))
        else:
            self.future.set_result(None)

    def expire(self) -> None:
        self.ended(LATE)


def _grpc_error(failure: CallFailure) -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    code = grpc.StatusCode.__members__.get(failure.status, grpc.StatusCode.UNKNOWN)
    return grpc.aio.AioRpcError(code, nothing, nothing, failure.details)


class AsyncBatchedCalls:
    """Calls for the worker. See `durabletask.transport.batched_calls.BatchedCalls`.

    A call with one response may take `timeout` seconds.
    """

    def __init__(
        self,
        transport: GrpcAsyncTransport,
        connection: Connection[grpc.aio.Channel],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self.transport = transport
        self.timeout = timeout
        self._connection = connection
        # With the loop the stream is gone too.
        self._in_loop = LoopCalls(dropped=lambda call: call.ended(CLOSED))
        self._alone: set[asyncio.Task[None]] = set()

    def call(
        self,
        method: Method,
        request: Any,
        answered: Callable[[Any, Exception | None], None],
        *,
        metadata: Metadata = (),
    ) -> Callable[[], None]:
        return self._begin(_UnaryCall(self, method, request, metadata, answered))

    def stream(
        self,
        method: Method,
        request: Any,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Exception | None], None],
        *,
        metadata: Metadata = (),
    ) -> Callable[[], None]:
        return self._begin(
            _StreamingCall(self, method, request, metadata, received=received, ended=ended)
        )

    def _begin(self, call: _Call) -> Callable[[], None]:
        try:
            call.encode()
        except codec.EncodeError as error:
            call.fail(error)
        else:
            self.look_at(call)
        return call.cancel

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which the calls are made."""
        return self._in_loop.loop

    def look_at(self, call: _Call) -> None:
        """Let the event loop begin the call, or end it if it was cancelled."""
        self._in_loop.at_once(_Call.proceed, call)

    def stream_to_use(self, *, at_once: bool = True) -> AsyncBatchStream | None:
        """The stream, open or being opened; None if the sidecar opens none.

        One that has just failed is opened again after a moment, or `at_once`.
        """
        batches, now = self._connection.batches, self.transport.clock.now
        return batches.any_stream(now) if at_once else batches.stream_if_due(now)

    def dialect_of(self, method: Method) -> Dialect:
        """The dialect of a request, and of its response."""
        assert self._connection.engine is not None
        dialect = self._connection.engine.dialect_of(method)
        assert dialect is not None  # Our sidecar serves every method.
        return dialect

    def is_closed(self) -> bool:
        """Whether the connection was closed here."""
        return self._connection.batches.is_closed

    def run_alone(
        self, call: Coroutine[Any, Any, None], broken_off: Callable[[], None]
    ) -> Callable[[], object]:
        """Make a call by itself, as with any other engine; returns what cancels it.

        `broken_off` is called if its task is cancelled, be it by the end of the loop.
        """
        task = self.loop.create_task(call)
        task.add_done_callback(lambda task: broken_off() if task.cancelled() else None)
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
        return task.cancel


class _Call(ABC):
    """One call: on the batch stream, or by itself where that cannot carry it."""

    __slots__ = (
        "_calls",
        "_cancel",
        "_is_cancelled",
        "_metadata",
        "_method",
        "_payload",
        "_request",
    )

    def __init__(
        self, calls: AsyncBatchedCalls, method: Method, request: Any, metadata: Metadata
    ) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        self._metadata = metadata
        self._payload = b""
        self._cancel: Callable[[], object] | None = None
        self._is_cancelled = False

    def encode(self) -> None:
        """Encode the request, on the thread that makes the call."""
        self._payload = codec.encode(self._request, self._calls.dialect_of(self._method))

    def cancel(self) -> None:
        """End the call, from any thread: nobody waits for it any more."""
        self._is_cancelled = True
        self._calls.look_at(self)

    def proceed(self) -> None:
        """Begin the call, or end it if it is cancelled; on the event loop."""
        if self._is_cancelled:
            self._give_up()
            return
        stream = self._stream_to_use()
        if stream is None or not stream.fits(self._method, self._payload, self._metadata):
            self._run_alone()
        elif stream.decided.done():
            self._begin_on(stream)
        else:
            stream.decided.add_done_callback(lambda _: self._begin_on(stream))

    def _stream_to_use(self) -> AsyncBatchStream | None:
        return self._calls.stream_to_use()

    def _begin_on(self, stream: AsyncBatchStream) -> None:
        if self._is_cancelled:
            return
        if stream.is_open:
            self._begin_on_open(stream)
        else:
            # The same call by itself is refused for the same reason, if there still is one.
            self._run_alone()

    def _begin_on_open(self, stream: AsyncBatchStream) -> None:
        self._cancel = stream.call(self._method, self._payload, self, self._metadata)

    def _give_up(self) -> None:
        if self._cancel is not None:
            self._cancel()

    def _run_alone(self) -> None:
        self._cancel = self._calls.run_alone(self._alone(), lambda: self.ended(CLOSED))

    async def _alone(self) -> None:
        try:
            response = await self._carry_out()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ended the call
            if not self._is_cancelled:
                self.fail(error)
        else:
            if not self._is_cancelled:
                self._succeed_alone(response)

    @abstractmethod
    async def _carry_out(self) -> Any:
        """Make the call by itself; returns its response, if it has just one."""

    @abstractmethod
    def _succeed_alone(self, response: Any) -> None: ...

    @abstractmethod
    def received(self, responses: list[bytes]) -> None: ...

    def ended(self, failure: CallFailure | None) -> None:
        """Note the end of the call on the stream."""
        if self._is_cancelled:
            return
        if failure is None:
            self.succeed()
        elif failure.was_sent or failure[:2] == CLOSED[:2]:
            self.fail(self._error(failure))
        else:
            self._run_alone()

    @abstractmethod
    def succeed(self) -> None: ...

    @abstractmethod
    def fail(self, error: Exception) -> None: ...

    def _error(self, failure: CallFailure) -> Exception:
        calls = self._calls
        call = GrpcCall(calls.transport, self._method, self._request, calls.timeout)
        return call.error(_grpc_error(failure))


class _UnaryCall(_Call):
    """One call with one response."""

    __slots__ = ("_answered", "_response", "_timer")

    def __init__(
        self,
        calls: AsyncBatchedCalls,
        method: Method,
        request: Any,
        metadata: Metadata,
        answered: Callable[[Any, Exception | None], None],
    ) -> None:
        super().__init__(calls, method, request, metadata)
        self._answered = answered
        self._response: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None

    def _stream_to_use(self) -> AsyncBatchStream | None:
        return self._calls.stream_to_use(at_once=False)

    def _begin_on_open(self, stream: AsyncBatchStream) -> None:
        super()._begin_on_open(stream)
        self._timer = self._calls.loop.call_later(self._calls.timeout, self._expire)

    def _expire(self) -> None:
        self._give_up()
        self.fail(self._error(LATE))

    def _give_up(self) -> None:
        self._stop_timer()
        super()._give_up()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            # It refers to this call, which refers to it.
            self._timer = None

    async def _carry_out(self) -> Any:
        return await self._calls.transport.unary(
            self._method, self._request, timeout=self._calls.timeout, metadata=self._metadata
        )

    def _succeed_alone(self, response: Any) -> None:
        self._answered(response, None)

    def received(self, responses: list[bytes]) -> None:
        if responses:
            self._response = responses[0]

    def ended(self, failure: CallFailure | None) -> None:
        self._stop_timer()
        super().ended(failure)

    def succeed(self) -> None:
        if self._response is None:
            self.fail(self._error(NO_RESPONSE))
            return
        call = GrpcCall(self._calls.transport, self._method, self._request, None)
        try:
            response = call.response(self._response, self._calls.dialect_of(self._method))
        except SidecarError as error:
            self.fail(error)
        else:
            self._answered(response, None)

    def fail(self, error: Exception) -> None:
        self._answered(None, error)


class _StreamingCall(_Call):
    """One call with many responses."""

    __slots__ = ("_ended", "_received")

    def __init__(
        self,
        calls: AsyncBatchedCalls,
        method: Method,
        request: Any,
        metadata: Metadata,
        *,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        super().__init__(calls, method, request, metadata)
        self._received = received
        self._ended = ended

    async def _carry_out(self) -> Any:
        responses = self._calls.transport.stream(
            self._method, self._request, metadata=self._metadata
        )
        async with contextlib.aclosing(responses):
            async for response in responses:
                self.received([response])

    def _succeed_alone(self, _response: Any) -> None:
        # A stream ends well too where its transport is closed.
        self.ended(CLOSED if self._calls.is_closed() else None)

    def received(self, responses: list[bytes]) -> None:
        if not self._is_cancelled:
            self._received(responses)

    def succeed(self) -> None:
        self._ended(None)

    def fail(self, error: Exception) -> None:
        self._ended(error)
