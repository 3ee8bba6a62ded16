"""Scripted transports, and a real gRPC server with handlers for raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import grpc.aio

from durabletask.protocol import dialects
from durabletask.transport import (
    async_calls,
    async_io,
    call,
    error_mapping,
    grpc_async_transport,
    grpc_transport,
    sync_calls,
    sync_io,
)
from durabletask.transport.engine_detection import engine_of
from durabletask.transport.errors import Refusal, SidecarError
from durabletask.transport.limits import ChannelHealth

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method


class Asked(NamedTuple):
    """A call that was made over a fake transport."""

    method: str
    request: Any
    timeout: float | None


class FakeTransport:
    """Answers one call after the other from its script, and remembers what was asked."""

    address = "sidecar.test:4001"
    engine = engine_of(dialects.TASKHUB)

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.is_closed = False

    def unary(
        self, method: Method, request: Any, *, timeout: float | None = None, metadata: Any = ()
    ) -> Any:
        self.asked.append(Asked(method.name, request, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def identify_engine(self, *, timeout: float | None = None) -> Any:
        return self.engine

    def error(self, refusal: Refusal, kind: type[SidecarError] | None = None) -> SidecarError:
        kind = kind or error_mapping.kind_of(refusal)
        return kind(error_mapping.text_of(refusal, kind), refusal)

    def collect(self, *args: Any, **options: Any) -> Any:
        return FakeTransport.unary(self, *args, **options)

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.is_closed = True


class FakeAsyncTransport(FakeTransport):
    """The same for an event loop."""

    async def identify_engine(self, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the seam's
        return super().identify_engine()

    async def unary(self, *args: Any, **options: Any) -> Any:
        return super().unary(*args, **options)

    async def collect(self, *args: Any, **options: Any) -> Any:
        return super().collect(*args, **options)

    async def close(self) -> None:  # type: ignore[override]
        super().close()


async def result_of(value: Any) -> Any:
    """What a call of either client gives, so that one test body serves both."""
    return await value if inspect.isawaitable(value) else value


def refused(
    status: str, *, method: str = "GetInstance", instance_id: str = "order-1", details: str = ""
) -> SidecarError:
    """The error that a transport raises for a call that was refused so."""
    refusal = Refusal(
        FakeTransport.address, method, status, details, instance_id=instance_id, timeout=30
    )
    return error_mapping.kind_of(refusal)(error_mapping.text_of(refusal), refusal)


class QuickClock(call.Clock):
    """Pauses take no time, though the clock says that they did."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    def jitter(self) -> float:
        return 0.0

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    async def pause_async(self, seconds: float) -> None:
        self.pause(seconds)


Handler = Callable[[bytes, Any], Awaitable[bytes]]


class RawSidecar(grpc.GenericRpcHandler):
    """Serves the methods named in `unary` and `streams`; the others are UNIMPLEMENTED."""

    def __init__(
        self,
        unary: dict[str, Handler],
        streams: dict[str, Callable[[bytes, Any], AsyncIterator[bytes]]],
    ) -> None:
        self.unary = unary
        self.streaming = streams

    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method.rpartition("/")[2]
        if name in self.streaming:
            return grpc.unary_stream_rpc_method_handler(self.streaming[name])
        handler = self.unary.get(name)
        return handler and grpc.unary_unary_rpc_method_handler(handler)


@contextlib.asynccontextmanager
async def raw_sidecar(
    *, address: str = "127.0.0.1:0", streams: dict[str, Any] | None = None, **unary: Handler
) -> AsyncIterator[str]:
    """A server on a free port of this machine; gives its address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((RawSidecar(unary, streams or {}),))
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def answers(raw: bytes) -> Handler:
    """A handler that gives the same bytes to everybody."""

    async def handler(_request: bytes, _context: Any) -> bytes:
        return raw

    return handler


def refuses(status: str, details: str = "") -> Handler:
    """A handler that refuses every call."""

    async def handler(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode[status], details)
        raise AssertionError("abort raises")

    return handler


async def never(_request: bytes, _context: Any) -> bytes:
    """A handler that does not answer before the caller gives up."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")


def greets_as(engine: str) -> Handler:
    """A handler of Hello for an engine that gives its name."""

    async def handler(_request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("x-durabletask-engine", engine),))
        return b""

    return handler


class Counted:
    """Remembers who comes; `answer` is a handler, which lets the given one answer."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[bytes] = []
        self.metadata: list[dict[str, Any]] = []

    async def answer(self, request: bytes, context: Any) -> bytes:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        return await self._handler(request, context)


class TransportKind:
    """The transport for threads or that for an event loop, so that one test body serves both.

    Blocking calls are made on a thread: the test's loop belongs to the server.
    """

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.error_base = grpc.aio.AioRpcError if is_async else grpc.RpcError

    def connect(self, address: str | None = None, **settings: Any) -> Any:
        return (grpc_async_transport if self.is_async else grpc_transport)(address, **settings)

    def with_clock(self, address: str, clock: QuickClock) -> Any:
        """A transport whose pauses take no time."""
        settings: Any = {
            "metadata": (),
            "dialect": dialects.TASKHUB,
            "patience": 0.8,
            "health": ChannelHealth(),
            "clock": clock,
        }
        if self.is_async:
            return async_calls.GrpcAsyncTransport(
                async_io.channel_source(address, False, None, None, None), **settings
            )
        return sync_calls.GrpcTransport(
            sync_io.channel_source(address, False, None, None, None), **settings
        )

    def channel(self, address: str) -> Any:
        make = grpc.aio.insecure_channel if self.is_async else grpc.insecure_channel
        return make(address, [("grpc.enable_http_proxy", 0)])

    async def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.is_async:
            return await function(*args, **options)
        return await asyncio.to_thread(function, *args, **options)

    async def drain(self, stream: Any) -> list[bytes]:
        """All that comes until the stream ends."""
        if self.is_async:
            return [raw async for raw in stream]
        return await asyncio.to_thread(list, stream)
