"""Use a synchronous transport in the worker's event loop.

Programs written for the official SDK give its worker a `grpc.Channel`, or interceptors of
that kind. Each call then costs a hop between threads; everything else is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask.transport.loop_calls import LoopCalls

from ._thread_pool import ThreadPool

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method
    from durabletask.transport import ByteStream, Metadata, Transport
    from durabletask.transport.engine_detection import Engine

# Calls in flight at a time; the others wait.
_CALL_THREADS = 16

_Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class SyncTransportAdapter:
    """An asynchronous transport over a synchronous one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._threads = _thread_pool("durabletask-calls", count=_CALL_THREADS)

    @property
    def address(self) -> str:
        return self._transport.address

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar is told it, too
        metadata: Metadata = (),
    ) -> Any:
        response: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def call() -> Any:
            return self._transport.unary(method, request, timeout=timeout, metadata=metadata)

        self._threads.submit([(response, call)])
        return await response

    async def identify_engine(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar is told it, too
    ) -> Engine:
        engine: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        self._threads.submit([(engine, partial(self._transport.identify_engine, timeout=timeout))])
        return await engine

    def stream(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> SyncStreamAdapter:
        responses = self._transport.stream(method, request, timeout=timeout, metadata=metadata)
        return SyncStreamAdapter(responses)

    async def close(self) -> None:
        self._threads.close()
        self._transport.close()


class SyncStreamAdapter:
    """Fetches one response at a time on a thread, and only when it is asked for."""

    def __init__(self, responses: ByteStream) -> None:
        self._responses = responses
        self._thread = _thread_pool("durabletask-stream", count=1)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        response: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._thread.submit([(response, lambda: next(self._responses, None))])
        raw = await response
        if raw is None:
            raise StopAsyncIteration
        return raw

    async def aclose(self) -> None:
        self._responses.close()
        self._thread.close()


def _thread_pool(name: str, *, count: int) -> ThreadPool[_Call]:
    return ThreadPool(name, count=count, perform=partial(_perform, LoopCalls()))


def _perform(in_loop: LoopCalls, job: _Call) -> None:
    future, call = job
    try:
        in_loop(_resolve, future, call(), None)
    # It is raised where the future is awaited.
    except Exception as error:  # noqa: BLE001
        in_loop(_resolve, future, None, error)


def _resolve(future: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    # Nobody waits for a call that was cancelled.
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
