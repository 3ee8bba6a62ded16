"""Tell an instrumentation how each call ended, and how long it took.

Knows nothing about what the calls do.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.network.rpc import Context, Handler

    Serve = Callable[[bytes, Context], Awaitable[bytes | None]]


def measured(
    handlers: Mapping[str, Handler], instrumentation: Instrumentation
) -> dict[str, Handler]:
    """The same handlers, observed."""
    return {name: _measured(name, handler, instrumentation) for name, handler in handlers.items()}


def _measured(name: str, handler: Handler, instrumentation: Instrumentation) -> Handler:
    # gRPC's types know only functions that are no coroutines.
    if handler.response_streaming:
        serve = cast("Serve", handler.unary_stream)
        return grpc.unary_stream_rpc_method_handler(_observed(name, serve, instrumentation))
    serve = cast("Serve", handler.unary_unary)
    return grpc.unary_unary_rpc_method_handler(_observed(name, serve, instrumentation))


def _observed(name: str, serve: Serve, instrumentation: Instrumentation) -> Serve:
    async def observe(raw: bytes, context: Context) -> bytes | None:
        started = instrumentation.ticks()
        # What gRPC makes of an error that the handler did not turn into a status.
        status = grpc.StatusCode.UNKNOWN
        try:
            response = await serve(raw, context)
            status = grpc.StatusCode.OK
            return response
        except asyncio.CancelledError:
            status = grpc.StatusCode.CANCELLED
            raise
        finally:
            instrumentation.rpc_finished(name, _told(context, status).name, started)

    return observe


def _told(context: Context, otherwise: grpc.StatusCode) -> grpc.StatusCode:
    """The status that the handler set, as a number or a member; None when it set none."""
    code: int | grpc.StatusCode | None = context.code()
    if code is None:
        return otherwise
    return code if isinstance(code, grpc.StatusCode) else _BY_NUMBER[code]


_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
