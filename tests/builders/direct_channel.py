"""The sidecar's table of methods behind the interface of a gRPC channel, without gRPC in between.

A `Peer` on a `DirectChannel` calls the handlers of `durabletask.sidecar.service` in its own
process. Requests and responses are still encoded, so that both ways are told apart by nothing
but the network.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, dialects, methods
from durabletask.sidecar.service.calls import Caller
from durabletask.sidecar.service.errors import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from durabletask.protocol.methods import Method
    from durabletask.sidecar.service import Service

    Metadata = tuple[tuple[str, str], ...]

_METHODS = {method.path: method for method in methods.ALL}


class DirectChannel:
    """Stands in for one connection: closing it breaks off its calls."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._running: set[asyncio.Task[Any]] = set()

    def unary_unary(self, path: str) -> Any:
        method = _METHODS[path]

        async def call(raw: bytes, *, metadata: Metadata = (), **options: float) -> bytes:
            try:
                async with asyncio.timeout(options.get("timeout")):
                    return await self._run(self._answer(method, raw, metadata))
            except TimeoutError:
                raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "too late") from None

        return call

    def unary_stream(self, path: str) -> Any:
        method = _METHODS[path]

        def call(
            raw: bytes, *, metadata: Metadata = (), timeout: float | None = None
        ) -> DirectStream:
            stream = DirectStream(timeout)
            stream.task = self._run(self._fill(stream, method, raw, metadata))
            return stream

        return call

    async def close(self) -> None:
        """Break off what is under way."""
        for task in self._running:
            task.cancel()
        await self.settled()

    async def settled(self) -> None:
        """Wait until every call has ended."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _run(self, call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _answer(self, method: Method, raw: bytes, metadata: Metadata) -> bytes:
        try:
            request, caller = self._read(method, raw, metadata)
            response = await self._service.unary[method](request, caller)
        except Exception as error:
            raise _refusal(error) from error
        return codec.encode(response, caller.dialect or dialects.EITHER)

    async def _fill(
        self, stream: DirectStream, method: Method, raw: bytes, metadata: Metadata
    ) -> None:
        code, details = grpc.StatusCode.OK, ""
        try:
            request, caller = self._read(method, raw, metadata)
            async with self._service.streaming[method](request, caller) as responses:
                stream.admitted.set()
                async for response in responses:
                    stream.put(response)
        except asyncio.CancelledError:
            code, details = grpc.StatusCode.CANCELLED, "cancelled"
        except Exception as error:
            refusal = _refusal(error)
            code, details = refusal.code(), refusal.details() or ""
        stream.end(code, details)

    def _read(self, method: Method, raw: bytes, metadata: Metadata) -> tuple[Any, Caller]:
        caller = self._service.recognizer(method)(raw, Caller.of(dict(metadata)))
        dialect = caller.dialect or dialects.EITHER
        return codec.decode(method.request_class(), raw, dialect), caller


class DirectStream:
    """What is read of a stream as from a gRPC call."""

    task: asyncio.Task[None]

    def __init__(self, timeout: float | None) -> None:
        self.admitted = asyncio.Event()
        self._timeout = timeout
        self._responses: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.Future()

    def put(self, response: bytes) -> None:
        self._responses.put_nowait(response)

    def end(self, code: grpc.StatusCode, details: str) -> None:
        self._ended.set_result((code, details))
        self._responses.put_nowait(None)
        self.admitted.set()

    async def initial_metadata(self) -> None:
        await self.admitted.wait()

    async def read(self) -> Any:
        """The next response, EOF at a good end; any other end raises AioRpcError."""
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._responses.get()
        except asyncio.CancelledError:
            # As gRPC has it: who gives up reading gives up the call.
            self.cancel()
            raise
        if response is not None:
            return response
        self._responses.put_nowait(None)
        code, details = await self._ended
        if code is not grpc.StatusCode.OK:
            raise _error(code, details)
        return grpc.aio.EOF

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    async def code(self) -> grpc.StatusCode:
        return (await self._ended)[0]

    async def details(self) -> str:
        return (await self._ended)[1]

    def cancel(self) -> None:
        self.task.cancel()


def _refusal(error: Exception) -> grpc.aio.AioRpcError:
    return _error(grpc.StatusCode[status_of(error).name], str(error))


def _error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
