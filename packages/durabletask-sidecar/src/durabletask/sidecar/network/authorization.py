"""Let a call in only when its bearer token is for its task hub.

    no token, or an unknown one   UNAUTHENTICATED
    one of another task hub       PERMISSION_DENIED

A refusal depends on the call's metadata and the table of tokens alone, so it is the same
whether an instance, a task hub or even a method exists, and no request is read before. Hello
is refused, too: it names the engine, and a worker whose token is wrong learns that by its
first call. Calls of the health service are let in: they reveal nothing that is stored, and
probes have no tokens.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from durabletask.protocol import methods
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION
from durabletask.sidecar.security import token_table
from durabletask.sidecar.service.calls import hub_of
from durabletask.sidecar.service.errors import PermissionDeniedError, UnauthenticatedError

from . import health
from .handlers import code_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.security.token_table import TokenTable

    # Of any messages: gRPC's types know only interceptors for all methods.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Metadata = Iterable[tuple[str, str | bytes]]

_log = logging.getLogger("durabletask.sidecar")

_OPEN = f"/{health.SERVICE}/"
_PATHS = frozenset(method.path for method in methods.ALL)
# Characters of a task hub's name in the text of a refusal.
_MAX_SHOWN = 100


class Authorization(grpc.aio.ServerInterceptor):
    """Refuses calls without a valid token, also those whose token becomes invalid later."""

    def __init__(
        self, table: Callable[[], TokenTable], instrumentation: Instrumentation = NO_INSTRUMENTATION
    ) -> None:
        self._table = table
        self._instrumentation = instrumentation

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        if handler_call_details.method.startswith(_OPEN):
            return await continuation(handler_call_details)
        metadata = tuple(handler_call_details.invocation_metadata)
        try:
            table = self._authorized(metadata)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            self._report(handler_call_details.method, code_of(error))
            return _refusal(error)
        handler = await continuation(handler_call_details)
        return None if handler is None else self._revocable(handler, metadata, table)

    def _authorized(self, metadata: Metadata) -> TokenTable:
        """The current table, if it lets the call in; raise an error if it does not."""
        table = self._table()
        check(table, metadata)
        return table

    def _report(self, path: str, code: grpc.StatusCode) -> None:
        # Not under a name that a caller made up: each becomes a time series.
        name = path.rpartition("/")[2] if path in _PATHS else "unknown"
        self._instrumentation.rpc_finished(name, code.name, self._instrumentation.ticks())
        _log.debug("Call refused", extra={"method": name, "status": code.name})

    def _revocable(self, handler: Handler, metadata: Metadata, table: TokenTable) -> Handler:
        def check_again() -> None:
            nonlocal table
            # Once for each new table, not for each response.
            if self._table() is not table:
                table = self._authorized(metadata)

        if handler.response_streaming:
            return _guarded_stream(handler.unary_stream, check_again)
        return _guarded_response(handler.unary_unary, check_again)


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


def check(table: TokenTable, metadata: Metadata) -> None:
    """Raise UnauthenticatedError or PermissionDeniedError unless the token is for the task hub."""
    named = dict(metadata)
    hubs = table.hubs_of(_bearer(named.get("authorization")))
    if hubs is None:
        raise UnauthenticatedError(
            "the call needs a valid token: send it as the metadata authorization: Bearer TOKEN"
        )
    hub = hub_of(named)
    if not token_table.covers(hubs, hub):
        raise PermissionDeniedError(f"the token is not for the task hub {hub[:_MAX_SHOWN]!r}")


def _bearer(authorization: str | bytes | None) -> str:
    """The token; without one the empty text, which is no valid token."""
    scheme, _, token = str(authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refusal(error: Exception) -> Handler:
    async def refuse(_requests: Any, context: Any) -> None:
        await context.abort(code_of(error), str(error))

    # As a stream of requests, none of which is awaited: gRPC does not even receive the request.
    return grpc.stream_stream_rpc_method_handler(refuse)
