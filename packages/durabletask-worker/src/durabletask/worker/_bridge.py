"""Use a channel or interceptors made for threads in the worker's event loop.

Programs written for the official SDK hand its worker a `grpc.Channel` or interceptors of
its kind. Each call then costs a hop between threads; everything else is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ._threads import Threads

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method
    from durabletask.transport import ByteStream, Metadata, Transport
    from durabletask.transport.engine_detection import Engine

# Answers that are under way at a time; the others wait their turn.
_CALL_THREADS = 16

_Call = tuple["asyncio.Future[Any]", Callable[[], Any]]
_Outcome = tuple["asyncio.Future[Any]", Any, "Exception | None"]


class BridgedTransport:
    """An asynchronous transport over one for threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._threads = _threads("durabletask-calls", count=_CALL_THREADS)

    @property
    def address(self) -> str:
        return self._transport.address

    async def unary(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
        metadata: Metadata = (),
    ) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def call() -> Any:
            return self._transport.unary(method, request, timeout=timeout, metadata=metadata)

        self._threads.submit((answer, call))
        return await answer

    async def identify_engine(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the sidecar has to know it too
    ) -> Engine:
        answer: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        self._threads.submit((answer, partial(self._transport.identify_engine, timeout=timeout)))
        return await answer

    def stream(
        self,
        method: Method,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> BridgedStream:
        responses = self._transport.stream(method, request, timeout=timeout, metadata=metadata)
        return BridgedStream(responses)

    async def close(self) -> None:
        self._threads.close()
        self._transport.close()


class BridgedStream:
    """One response at a time is fetched on a thread, and only when it is asked for."""

    def __init__(self, responses: ByteStream) -> None:
        self._responses = responses
        self._thread = _threads("durabletask-stream", count=1)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._thread.submit((answer, lambda: next(self._responses, None)))
        raw = await answer
        if raw is None:
            raise StopAsyncIteration
        return raw

    async def aclose(self) -> None:
        self._responses.close()
        self._thread.close()


def _threads(name: str, *, count: int) -> Threads[_Call, _Outcome]:
    return Threads(
        name,
        count=count,
        perform=_perform,
        collect=_settle,
    )


def _perform(job: _Call) -> _Outcome:
    answer, call = job
    try:
        return answer, call(), None
    # It is raised where the answer is awaited.
    except Exception as error:  # noqa: BLE001
        return answer, None, error


def _settle(outcomes: list[_Outcome]) -> None:
    for answer, value, error in outcomes:
        # Nobody waits for a call that was cancelled.
        if answer.done():
            continue
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)
