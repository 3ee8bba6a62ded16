"""Calls from an event loop that reach a sidecar of the same process without gRPC.

Every call looks for the sidecar anew, since it may be started and stopped meanwhile. While the
address is not that of a sidecar in this process, calls go over gRPC, which is imported then.
Repetitions and errors are as over gRPC.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol import codec, dialects, messages, methods
from durabletask.transport import async_waiting as waiting
from durabletask.transport import engine_detection, in_process_calls, retry
from durabletask.transport.batched_calls import batched_calls_of
from durabletask.transport.call import OutgoingCall, TransportBase
from durabletask.transport.in_process_calls import (
    CLOSED,
    LATE,
    NOBODY,
    InProcessBatchedCalls,
    InProcessCalls,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import grpc.aio

    from durabletask.protocol.in_process import Failure, InProcessEngine
    from durabletask.protocol.methods import Method
    from durabletask.transport import AsyncByteStream, AsyncClientTransport, Metadata
    from durabletask.transport.address import Address
    from durabletask.transport.batched_calls import BatchedCalls
    from durabletask.transport.engine_detection import Engine
    from durabletask.transport.in_process_calls import Cancel
    from durabletask.transport.limits import ChannelHealth


class AsyncInProcessTransport(TransportBase):
    """Calls from an event loop. See `durabletask.transport.AsyncTransport`.

    `make_grpc` makes the transport for calls to sidecars that are not in this process.
    """

    def __init__(
        self,
        address: Address,
        make_grpc: Callable[[], AsyncClientTransport],
        *,
        metadata: Metadata,
        patience: float,
        health: ChannelHealth,
    ) -> None:
        super().__init__(str(address), metadata=metadata, patience=patience, health=health)
        self._target = address
        self._make_grpc = make_grpc
        self._grpc: list[AsyncClientTransport] = []
        self._calls = InProcessCalls(metadata)
        self._waiting = waiting.Waiting()

    @property
    def error_base(self) -> type[grpc.aio.AioRpcError]:
        """Looked up, and so imported, only when there is an error to raise."""
        import grpc.aio

        return grpc.aio.AioRpcError

    async def identify_engine(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
    ) -> Engine:
        engine = self._engine()
        if engine is not None:
            return engine_detection.named(engine.name)
        if self._target.is_in_process:
            call = OutgoingCall(self, methods.HELLO, messages.Empty(), timeout)
            raise call.error_of(call.refusal(retry.Failure(*NOBODY)))
        return await self._over_grpc().identify_engine(timeout=timeout)

    def batched_calls(self) -> BatchedCalls | None:
        """Calls in batches to the sidecar that has the address now; see `batched_calls.py`."""
        engine = self._engine()
        if engine is not None:
            return InProcessBatchedCalls(self._calls, engine, self.address)
        return None if self._target.is_in_process else batched_calls_of(self._over_grpc())

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
        metadata: Metadata = (),
    ) -> Any:
        call = OutgoingCall(self, method, request, timeout)
        is_answered, response = await self._carry_out(call, self._calls.call, metadata)
        if is_answered:
            return response
        return await self._over_grpc().unary(
            method, request, timeout=call.timeout_elsewhere(), metadata=metadata
        )

    async def collect(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar needs it too
        metadata: Metadata = (),
    ) -> list[Any]:
        call = OutgoingCall(self, method, request, timeout)
        is_answered, encoded = await self._carry_out(call, self._calls.collect, metadata)
        if is_answered:
            response_class = method.response_class()
            return [codec.decode(response_class, raw, dialects.TASKHUB) for raw in encoded]
        return await self._over_grpc().collect(
            method, request, timeout=call.timeout_elsewhere(), metadata=metadata
        )

    async def _carry_out(
        self, call: OutgoingCall, make: Callable[..., Cancel], metadata: Metadata
    ) -> tuple[bool, Any]:
        """Make the call as often as is allowed: whether it is answered, and the response.

        It is not while there is no such sidecar in this process: then gRPC leads to it.
        """
        while True:
            engine = self._engine()
            if engine is not None:
                waiting.check_may_wait(engine)
                left = call.begin()
                begin = partial(make, engine, call.method, call.request, metadata)
                response, failure = await self._waiting.answer(begin, left)
            elif self._target.is_in_process:
                call.begin()
                response, failure = None, NOBODY
            else:
                return False, None
            if failure is None:
                self.health.answered()
                return True, response
            if failure is CLOSED:
                raise RuntimeError("The client was closed during the call")
            await self.clock.pause_async(_pause_after(call, failure))

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> AsyncByteStream:
        engine = self._engine()
        if engine is None and not self._target.is_in_process:
            return self._over_grpc().stream(method, request, timeout=timeout, metadata=metadata)
        call = OutgoingCall(self, method, request, timeout)
        call.begin_stream(timeout)
        responses = AsyncInProcessResponses(call, waiting.Arrivals(self._waiting))
        if engine is None:
            responses.end(NOBODY)
        else:
            waiting.check_may_wait(engine)
            responses.cancel = self._calls.stream(
                engine, method, request, metadata, responses.receive, responses.end
            )
        return responses

    async def close(self) -> None:
        self._calls.close()
        for transport in self._grpc:
            await transport.close()

    def _engine(self) -> InProcessEngine | None:
        """The engine of this process that has the address now."""
        self._calls.check_open()
        return in_process_calls.find(self._target)

    def _over_grpc(self) -> AsyncClientTransport:
        if not self._grpc:
            # Threads whose first calls coincide may make one each, and all use the first. The
            # others have made no channel, and need no closing.
            self._grpc.append(self._make_grpc())
            # Closed meanwhile? `close` looks for them only once calls are refused.
            self._calls.check_open()
        return self._grpc[0]


class AsyncInProcessResponses:
    """The responses of one streaming call. See `durabletask.transport.AsyncByteStream`."""

    def __init__(self, call: OutgoingCall, arrivals: waiting.Arrivals) -> None:
        self._call = call
        self._arrivals = arrivals
        self._responses: deque[bytes] = deque()
        self._has_ended = False
        self.cancel: Cancel | None = None

    def receive(self, responses: Sequence[bytes]) -> None:
        """Take responses, on any thread."""
        self._arrivals.put(responses)

    def end(self, failure: Failure | None) -> None:
        """Take the end of the stream, on any thread."""
        self._arrivals.put(_End(failure))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._responses:
            if self._has_ended:
                raise StopAsyncIteration
            await self._wait_for_more()
        return self._responses.popleft()

    async def _wait_for_more(self) -> None:
        arrived = await self._arrivals.get(self._call.left_of_stream())
        if arrived is None:
            self._give_up()
            arrived = _End(LATE)
        if not isinstance(arrived, _End):
            self._responses.extend(arrived)
            return
        self._has_ended = True
        if arrived.failure is not None:
            raise self._call.error_of(self._call.refusal(retry.Failure(*arrived.failure)))

    async def aclose(self) -> None:
        self._give_up()
        self._responses.clear()
        self.end(None)

    def _give_up(self) -> None:
        if self.cancel is not None:
            self.cancel()


class _End(NamedTuple):
    """The end of a stream, among its responses."""

    failure: Failure | None


def _pause_after(call: OutgoingCall, failure: Failure) -> float:
    """Seconds to wait before the next attempt; raises the error if there is none."""
    pause = call.pause_before_next(retry.Failure(*failure))
    if pause is None:
        raise call.error_of(call.refusal(retry.Failure(*failure)))
    return pause
