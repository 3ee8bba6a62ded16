"""Make gRPC handlers of functions that take and return messages.

The handlers take raw bytes and decode them themselves: a deserializer that raises makes
gRPC answer UNKNOWN or INTERNAL, where the caller must learn that the request was
malformed.

Knows nothing about what the methods do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from durabletask.protocol import codec, dialects
from durabletask.protocol.codec import DecodeError

from .errors import UnservedError, code_of
from .ids import check_length

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import betterproto2

    from durabletask.protocol.methods import Method

    Context = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.RpcMethodHandler[bytes, bytes]

_log = logging.getLogger("durabletask.sidecar")

_DEFAULT_HUB = "default"
# Details travel in a header, percent-encoded, and peers take some 8 KiB of headers.
_LONGEST_DETAILS = 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call says besides its request."""

    hub: str
    metadata: dict[str, str | bytes]


Unary = Callable[[Any, Caller], "Awaitable[betterproto2.Message]"]
Streaming = Callable[[Any, Caller], "AbstractAsyncContextManager[AsyncIterator[bytes]]"]


def unary(
    method: Method, handle: Unary, *, initial_metadata: tuple[tuple[str, str], ...] = ()
) -> Handler:
    """Serve a method with one response."""

    async def serve(raw: bytes, context: Context) -> bytes:
        if initial_metadata:
            await context.send_initial_metadata(initial_metadata)
        try:
            response = await handle(_decode(method, raw), _caller(context))
            return codec.encode(response, dialects.TASKHUB)
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            await _abort(method, error, context)

    return grpc.unary_unary_rpc_method_handler(serve)


def streaming(method: Method, handle: Streaming) -> Handler:
    """Serve a method with many responses, which come encoded."""

    async def serve(raw: bytes, context: Context) -> None:
        try:
            async with handle(_decode(method, raw), _caller(context)) as responses:
                # Tells the peer that it is admitted, long before there is a first response.
                await context.send_initial_metadata(())
                async for response in responses:
                    await context.write(response)
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            await _abort(method, error, context)

    return grpc.unary_stream_rpc_method_handler(serve)


def unserved(method: Method) -> Handler:
    """Answer that the sidecar does not serve the method, by its name."""

    async def serve(_raw: bytes, context: Context) -> NoReturn:
        text = f"durabletask-sidecar does not serve {method.name}"
        await _abort(method, UnservedError(text), context)

    if method.response_streaming:
        return grpc.unary_stream_rpc_method_handler(serve)
    return grpc.unary_unary_rpc_method_handler(serve)


def _decode(method: Method, raw: bytes) -> betterproto2.Message:
    try:
        return codec.decode(method.request_class(), raw, dialects.TASKHUB)
    except DecodeError as error:
        raise DecodeError(f"{method.name} needs a {method.request}, but: {error}") from error


def _caller(context: Context) -> Caller:
    metadata = dict(context.invocation_metadata() or ())
    hub = str(metadata.get("taskhub") or _DEFAULT_HUB)
    check_length("the name of the task hub", hub)
    return Caller(hub, metadata)


async def _abort(method: Method, error: Exception, context: Context) -> NoReturn:
    code = code_of(error)
    if code is grpc.StatusCode.INTERNAL:
        _log.exception("%s failed", method.name, exc_info=error)
    await context.abort(code, _details(error))


def _details(error: Exception) -> str:
    text = str(error) or type(error).__name__
    # Counted in bytes, and cut where a character ends.
    return text.encode(errors="replace")[:_LONGEST_DETAILS].decode(errors="ignore")
