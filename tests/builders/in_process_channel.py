"""A sidecar of this process behind the interface of a gRPC channel, for a `Peer`.

Requests are decoded and handed over as values, as the SDK's own transport does, and responses
encoded again: what a test sees of the two ways differs in nothing but the way. What was handed
over belongs to its receiver: no call changes its request, and responses are spoiled.
"""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, dialects, methods
from durabletask.protocol.in_process import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from durabletask.protocol.in_process import InProcessEngine

    Metadata = tuple[tuple[str, str], ...]

_METHODS = {method.path: method for method in methods.ALL}
_BROKEN_OFF = Failure("CANCELLED", "the connection is closed")
_LATE = Failure("DEADLINE_EXCEEDED", "too late")


class InProcessChannel:
    """Stands in for one connection: closing it breaks off its calls."""

    def __init__(self, engine: InProcessEngine) -> None:
        self._engine = engine
        self._break_off: set[Callable[[], None]] = set()

    def unary_unary(self, path: str) -> Any:
        method = _METHODS[path]

        async def call(raw: bytes, *, metadata: Metadata = (), **options: float) -> bytes:
            request = codec.decode(method.request_class(), raw, _dialect(path))
            raw = codec.encode(request, _dialect(path))
            answer: asyncio.Future[tuple[Any, Failure | None]] = asyncio.Future()
            cancel = self._engine.call(method, request, metadata, partial(_settle, answer))
            response, failure = await self._answer(answer, cancel, options.get("timeout"))
            assert codec.encode(request, _dialect(path)) == raw, "the engine changed a request"
            if failure is not None:
                raise _error(failure)
            encoded = codec.encode(response, _dialect(path))
            _spoil(response)
            return encoded

        return call

    def unary_stream(self, path: str) -> Any:
        method = _METHODS[path]

        def call(
            raw: bytes, *, metadata: Metadata = (), timeout: float | None = None
        ) -> InProcessStream:
            request = codec.decode(method.request_class(), raw, _dialect(path))
            stream = InProcessStream(timeout)
            cancel = self._engine.stream(method, request, metadata, stream.receive, stream.end)

            def break_off() -> None:
                self._break_off.discard(break_off)
                cancel()
                stream.end(_BROKEN_OFF)

            self._break_off.add(break_off)
            stream.cancel = break_off
            return stream

        return call

    async def close(self) -> None:
        """Break off what is under way."""
        for break_off in list(self._break_off):
            break_off()

    async def _answer(
        self,
        answer: asyncio.Future[tuple[Any, Failure | None]],
        cancel: Callable[[], None],
        limit: float | None,
    ) -> tuple[Any, Failure | None]:
        break_off = partial(_settle, answer, None, _BROKEN_OFF)
        self._break_off.add(break_off)
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            return None, _LATE
        finally:
            self._break_off.discard(break_off)
            cancel()


class InProcessStream:
    """What is read of a stream as from a gRPC call."""

    cancel: Callable[[], None]

    def __init__(self, timeout: float | None) -> None:
        self._admitted = asyncio.Event()
        self._timeout = timeout
        self._responses: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended: asyncio.Future[Failure | None] = asyncio.Future()

    def receive(self, responses: Sequence[bytes]) -> None:
        self._admitted.set()
        for response in responses:
            self._responses.put_nowait(response)

    def end(self, failure: Failure | None) -> None:
        if not self._ended.done():
            self._ended.set_result(failure)
            self._responses.put_nowait(None)
            self._admitted.set()

    async def initial_metadata(self) -> None:
        await self._admitted.wait()

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
        failure = await self._ended
        if failure is not None:
            raise _error(failure)
        return grpc.aio.EOF

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    async def code(self) -> grpc.StatusCode:
        failure = await self._ended
        return grpc.StatusCode.OK if failure is None else grpc.StatusCode[failure.status]

    async def details(self) -> str:
        failure = await self._ended
        return "" if failure is None else failure.details


def _dialect(path: str) -> dialects.Dialect:
    """The dialect of a method's messages, which is Microsoft's if it has the method."""
    supported = _METHODS[path].dialects
    return dialects.TASKHUB if dialects.TASKHUB in supported else supported[0]


def _spoil(message: Any) -> None:
    """Change all of a response, which is its receiver's: the engine must not notice."""
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        for part in value if isinstance(value, list) else [value]:
            if dataclasses.is_dataclass(part):
                _spoil(part)
        if isinstance(value, list | dict):
            value.clear()
        elif isinstance(value, str):
            setattr(message, field.name, "spoiled")


def _settle(
    answer: asyncio.Future[tuple[Any, Failure | None]], response: Any, failure: Failure | None
) -> None:
    if not answer.done():
        answer.set_result((response, failure))


def _error(failure: Failure) -> grpc.aio.AioRpcError:
    code = grpc.StatusCode[failure.status]
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), failure.details)
