"""Let a gRPC call in only when its bearer token is for its task hub.

`service.authorization` has the rules. Calls of the health service are let in: they reveal
nothing that is stored, and probes have no tokens.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from durabletask.protocol import batch_stream, methods
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION
from durabletask.sidecar.service.authorization import Admission
from durabletask.sidecar.service.errors import PermissionDeniedError, UnauthenticatedError

from . import health
from .handlers import code_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.service.authorization import Tokens

    # Of any messages: gRPC's types know only interceptors for all methods.
    Handler = grpc.RpcMethodHandler[Any, Any]

_log = logging.getLogger("durabletask.sidecar")

_OPEN = f"/{health.SERVICE}/"
_PATHS = frozenset({batch_stream.PATH, *(method.path for method in methods.ALL)})


class Authorization(grpc.aio.ServerInterceptor):
    """Refuses calls without a valid token, also those whose token becomes invalid later."""

    def __init__(
        self, tokens: Tokens, instrumentation: Instrumentation = NO_INSTRUMENTATION
    ) -> None:
        self._tokens = tokens
        self._instrumentation = instrumentation

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        if handler_call_details.method.startswith(_OPEN):
            return await continuation(handler_call_details)
        try:
            admission = Admission(self._tokens, dict(handler_call_details.invocation_metadata))
        except (UnauthenticatedError, PermissionDeniedError) as error:
            self._report(handler_call_details.method, code_of(error))
            return _refusal(error)
        handler = await continuation(handler_call_details)
        return None if handler is None else _revocable(handler, admission.check)

    def _report(self, path: str, code: grpc.StatusCode) -> None:
        # Not under a name that a caller made up: each becomes a time series.
        name = path.rpartition("/")[2] if path in _PATHS else "unknown"
        self._instrumentation.rpc_finished(name, code.name, self._instrumentation.ticks())
        _log.debug("Call refused", extra={"method": name, "status": code.name})


def _revocable(handler: Handler, check: Callable[[], None]) -> Handler:
    if handler.request_streaming:
        # The batch stream, each call of which is let in by itself.
        return handler
    if handler.response_streaming:
        return _guarded_stream(handler.unary_stream, check)
    return _guarded_response(handler.unary_unary, check)


def _guarded_stream(behaviour: Any, check: Callable[[], None]) -> Handler:
    async def serve(raw: bytes, context: Any) -> None:
        await behaviour(raw, _Guarded(context, check))

    return grpc.unary_stream_rpc_method_handler(serve)


def _guarded_response(behaviour: Any, check: Callable[[], None]) -> Handler:
    async def serve(raw: bytes, context: Any) -> bytes:
        response: bytes = await behaviour(raw, context)
        try:
            # A wait may last for days.
            check()
        except (UnauthenticatedError, PermissionDeniedError) as error:
            await context.abort(code_of(error), str(error))
        return response

    return grpc.unary_unary_rpc_method_handler(serve)


class _Guarded:
    """A call's context that writes responses only while `check` raises nothing."""

    def __init__(self, context: Any, check: Callable[[], None]) -> None:
        self._context = context
        self._check = check

    async def write(self, response: bytes) -> None:
        self._check()
        await self._context.write(response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _refusal(error: Exception) -> Handler:
    async def refuse(_requests: Any, context: Any) -> None:
        await context.abort(code_of(error), str(error))

    # As a stream of requests, none of which is awaited: gRPC does not even receive the request.
    return grpc.stream_stream_rpc_method_handler(refuse)
