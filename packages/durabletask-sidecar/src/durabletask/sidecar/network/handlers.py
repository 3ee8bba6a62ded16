"""Make gRPC handlers of functions that take and return messages.

The handlers take raw bytes and decode them themselves: a deserializer that raises makes
gRPC answer UNKNOWN or INTERNAL, where the caller must learn that the request was
malformed.

Knows nothing about what the methods do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from durabletask.protocol import codec, dialects
from durabletask.protocol.codec import DecodeError
from durabletask.sidecar.service.errors import code_of
from durabletask.sidecar.service.ids import check_length

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import betterproto2

    from durabletask.protocol.dialects import Dialect
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
    dialect: Dialect | None = None
    """In which the request was read; None where both vendors' are read alike."""


Unary = Callable[[Any, Caller], "Awaitable[betterproto2.Message]"]
# Which dialect a request shows to be in.
Shows = Callable[[bytes, Caller], "Dialect | None"]
Streaming = Callable[[Any, Caller], "AbstractAsyncContextManager[AsyncIterator[bytes]]"]


def unary(
    method: Method,
    handle: Unary,
    *,
    shows: Shows | None = None,
    initial_metadata: tuple[tuple[str, str], ...] = (),
) -> Handler:
    """Serve a method with one response."""
    shows = shows or _own(method)

    async def serve(raw: bytes, context: Context) -> bytes:
        if initial_metadata:
            await context.send_initial_metadata(initial_metadata)
        try:
            request, caller = _read(method, raw, context, shows)
            response = await handle(request, caller)
            return codec.encode(response, caller.dialect or dialects.EITHER)
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            await _abort(method, error, context)

    return grpc.unary_unary_rpc_method_handler(serve)


def streaming(method: Method, handle: Streaming, *, shows: Shows | None = None) -> Handler:
    """Serve a method with many responses, which come encoded."""
    shows = shows or _own(method)

    async def serve(raw: bytes, context: Context) -> None:
        try:
            async with handle(*_read(method, raw, context, shows)) as responses:
                # Tells the peer that it is admitted, long before there is a first response.
                await context.send_initial_metadata(())
                async for response in responses:
                    await _write(response, context)
        except _PeerGoneError:
            return
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            await _abort(method, error, context)

    return grpc.unary_stream_rpc_method_handler(serve)


class _PeerGoneError(Exception):
    """Nobody is there any more to be told anything."""


async def _write(response: bytes, context: Context) -> None:
    try:
        await context.write(response)
    except Exception as error:
        if code_of(error) is not grpc.StatusCode.INTERNAL:
            raise  # A refusal: the call is not allowed any more.
        # gRPC has no public name for it: its link broke in the middle of a message.
        raise _PeerGoneError from error


def _own(method: Method) -> Shows:
    """Requests of a method that only Dapr has are in its dialect."""
    is_daprs = dialects.TASKHUB not in method.dialects
    return lambda _raw, _caller: dialects.DAPR if is_daprs else None


def _read(
    method: Method, raw: bytes, context: Context, shows: Shows
) -> tuple[betterproto2.Message, Caller]:
    caller = _caller(context)
    try:
        caller = replace(caller, dialect=shows(raw, caller))
        dialect = caller.dialect or dialects.EITHER
        return codec.decode(method.request_class(), raw, dialect), caller
    except DecodeError as error:
        raise DecodeError(f"{method.name} needs a {method.request}, but: {error}") from error


def hub_of(metadata: Mapping[str, str | bytes]) -> str:
    """The task hub that a call is for."""
    return str(metadata.get("taskhub") or _DEFAULT_HUB)


def _caller(context: Context) -> Caller:
    metadata = dict(context.invocation_metadata() or ())
    hub = hub_of(metadata)
    check_length("the name of the task hub", hub)
    return Caller(hub, metadata)


async def _abort(method: Method, error: Exception, context: Context) -> NoReturn:
    code = code_of(error)
    hub = hub_of(dict(context.invocation_metadata() or ()))
    about = {"hub": hub, "method": method.name, "status": code.name}
    if code is grpc.StatusCode.INTERNAL:
        _log.error("a call failed", exc_info=error, extra=about)
    else:
        # Without the text, which may hold what the caller sent.
        _log.debug("a call was refused", extra=about)
    await context.abort(code, _details(error))


def _details(error: Exception) -> str:
    text = str(error) or type(error).__name__
    # Counted in bytes, and cut where a character ends.
    return text.encode(errors="replace")[:_LONGEST_DETAILS].decode(errors="ignore")
