"""Serve the table of methods over gRPC.

The handlers take raw bytes and decode them themselves: a deserializer that raises makes
gRPC answer UNKNOWN or INTERNAL, where the caller must learn that the request was
malformed. Every error becomes a status here; `service.errors` says which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from durabletask.protocol import codec, dialects, methods
from durabletask.protocol.codec import DecodeError
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION
from durabletask.sidecar.service.calls import ENGINE_NAME, Caller, hub_of
from durabletask.sidecar.service.errors import failure_of, status_of

if TYPE_CHECKING:
    import betterproto2

    from durabletask.protocol.methods import Method
    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.service import Recognize, Service, Streaming, Unary

    Context = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.RpcMethodHandler[bytes, bytes]

# gRPC's types know only functions that are not asynchronous.
Serve = Callable[[bytes, "Context"], Any]

# The worker and the client of this SDK recognize by it which extensions they may use.
_ENGINE = ("x-durabletask-engine", ENGINE_NAME)


def handlers(
    service: Service,
    instrumentation: Instrumentation = NO_INSTRUMENTATION,
    offers: Sequence[tuple[str, str]] = (),
) -> grpc.GenericRpcHandler:
    """All methods of the service, for a gRPC server of asyncio.

    `offers` is metadata for those who say Hello, about what else the server has.
    """
    greeting = (_ENGINE, *offers)
    served: dict[str, Handler] = {}
    for method, unary in service.unary.items():
        is_hello = method is methods.HELLO
        serve = _unary(method, unary, service.recognizer(method), greeting if is_hello else ())
        served[method.name] = grpc.unary_unary_rpc_method_handler(
            _instrumented(method, serve, instrumentation)
        )
    for method, streaming in service.streaming.items():
        serve = _streaming(method, streaming, service.recognizer(method))
        served[method.name] = grpc.unary_stream_rpc_method_handler(
            _instrumented(method, serve, instrumentation)
        )
    return grpc.method_handlers_generic_handler(methods.SERVICE, served)


def _unary(
    method: Method,
    handle: Unary,
    recognize: Recognize,
    initial_metadata: Sequence[tuple[str, str]],
) -> Serve:
    async def serve(raw: bytes, context: Context) -> bytes:
        if initial_metadata:
            await context.send_initial_metadata(initial_metadata)
        try:
            request, caller = _read(method, raw, context, recognize)
            response = await handle(request, caller)
            return codec.encode(response, caller.dialect or dialects.EITHER)
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            await _abort(method, error, context)

    return serve


def _streaming(method: Method, handle: Streaming, recognize: Recognize) -> Serve:
    async def serve(raw: bytes, context: Context) -> None:
        try:
            async with handle(*_read(method, raw, context, recognize)) as responses:
                # Tells the peer that it is admitted, long before there is a first response.
                await context.send_initial_metadata(())
                async for response in responses:
                    await _write(response, context)
        except _PeerGoneError:
            return
        except Exception as error:  # noqa: BLE001 - every error becomes a status
            await _abort(method, error, context)

    return serve


class _PeerGoneError(Exception):
    """The peer disconnected, so no status can reach it."""


async def _write(response: bytes, context: Context) -> None:
    try:
        await context.write(response)
    except Exception as error:
        if code_of(error) is not grpc.StatusCode.INTERNAL:
            raise  # A refusal: the call is not allowed any more.
        # gRPC has no public name for it: the connection broke in the middle of a message.
        raise _PeerGoneError from error


def _read(
    method: Method, raw: bytes, context: Context, recognize: Recognize
) -> tuple[betterproto2.Message, Caller]:
    caller = Caller.of(dict(context.invocation_metadata() or ()))
    try:
        caller = recognize(raw, caller)
        dialect = caller.dialect or dialects.EITHER
        return codec.decode(method.request_class(), raw, dialect), caller
    except DecodeError as error:
        raise DecodeError(f"{method.name} needs a {method.request}, but: {error}") from error


def code_of(error: Exception) -> grpc.StatusCode:
    """The code of an error's status; INTERNAL means that it is a defect of the sidecar."""
    return grpc.StatusCode[status_of(error).name]


async def _abort(method: Method, error: Exception, context: Context) -> NoReturn:
    hub = hub_of(dict(context.invocation_metadata() or ()))
    failure = failure_of(error, method=method.name, hub=hub)
    await context.abort(grpc.StatusCode[failure.status], failure.details)


def _instrumented(method: Method, serve: Serve, instrumentation: Instrumentation) -> Serve:
    """The same, and it reports how each call ended and how long it took."""
    if instrumentation is NO_INSTRUMENTATION:
        return serve

    async def serve_and_report(raw: bytes, context: Context) -> bytes | None:
        started = instrumentation.ticks()
        # What gRPC answers when an error escapes that did not become a status.
        code = grpc.StatusCode.UNKNOWN
        try:
            response: bytes | None = await serve(raw, context)
            code = grpc.StatusCode.OK
            return response
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            instrumentation.rpc_finished(method.name, _set_code(context, code).name, started)

    return serve_and_report


def _set_code(context: Context, default: grpc.StatusCode) -> grpc.StatusCode:
    """The code that the handler set, which gRPC gives as a number or a member."""
    code: int | grpc.StatusCode | None = context.code()
    if code is None:
        return default
    return code if isinstance(code, grpc.StatusCode) else _CODES_BY_NUMBER[code]


_CODES_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
