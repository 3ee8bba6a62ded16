"""Let calls in whose bearer token is for their task hub, before anything is read of them.

    no token, or nobody's         UNAUTHENTICATED
    one of another task hub       PERMISSION_DENIED

A refusal depends on the call's metadata and the table of tokens alone, so it is the same
whether an instance, a task hub or even a method exists. Hello is refused, too: it names the
engine, and a worker whose token is wrong learns that by its first call. The health of the
server is told to everybody: it says nothing about anything that is kept, and probes have no
tokens.

Knows nothing about where tokens come from, or what the calls do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from durabletask.protocol import methods
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION
from durabletask.sidecar.security import token_table
from durabletask.sidecar.service.errors import PermissionDeniedError, UnauthenticatedError, code_of

from . import health, rpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from durabletask.sidecar.instrumentation import Instrumentation
    from durabletask.sidecar.security.token_table import TokenTable

    # Of any messages: to the types of gRPC an interceptor is one for all methods.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Metadata = Iterable[tuple[str, str | bytes]]

_log = logging.getLogger("durabletask.sidecar")

_OPEN = f"/{health.SERVICE}/"
_PATHS = frozenset(method.path for method in methods.ALL)
# Of a task hub's name, in the text of a refusal.
_SHOWN = 100


class Admission(grpc.aio.ServerInterceptor):
    """Refuses calls, and lets no response out any more when their token no longer holds."""

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
            table = self._admit(metadata)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            self._tell(handler_call_details.method, code_of(error))
            return _refusal(error)
        handler = await continuation(handler_call_details)
        return None if handler is None else self._revocable(handler, metadata, table)

    def _admit(self, metadata: Metadata) -> TokenTable:
        """The table that lets the call in; raise when it does not."""
        table = self._table()
        check(table, metadata)
        return table

    def _tell(self, path: str, code: grpc.StatusCode) -> None:
        # Under no name that a caller made up: whoever counts remembers each for good.
        name = path.rpartition("/")[2] if path in _PATHS else "unknown"
        self._instrumentation.rpc_finished(name, code.name, self._instrumentation.ticks())
        _log.debug("a call was refused", extra={"method": name, "status": code.name})

    def _revocable(self, handler: Handler, metadata: Metadata, table: TokenTable) -> Handler:
        def still_holds() -> None:
            nonlocal table
            # Looked up once a table, not once a response.
            if self._table() is not table:
                table = self._admit(metadata)

        if handler.response_streaming:
            return _guarded_stream(handler.unary_stream, still_holds)
        return _guarded_response(handler.unary_unary, still_holds)


def _guarded_stream(behaviour: Any, check: Callable[[], None]) -> Handler:
    async def serve(raw: bytes, context: Any) -> None:
        await behaviour(raw, _Guarded(context, check))

    return grpc.unary_stream_rpc_method_handler(serve)


def _guarded_response(behaviour: Any, check: Callable[[], None]) -> Handler:
    async def serve(raw: bytes, context: Any) -> bytes:
        response: bytes = await behaviour(raw, context)
        try:
            # What a wait was for may have come days after it was let in.
            check()
        except (UnauthenticatedError, PermissionDeniedError) as error:
            await context.abort(code_of(error), str(error))
        return response

    return grpc.unary_unary_rpc_method_handler(serve)


class _Guarded:
    """A call's context that lets responses out only as long as `check` raises nothing."""

    def __init__(self, context: Any, check: Callable[[], None]) -> None:
        self._context = context
        self._check = check

    async def write(self, response: bytes) -> None:
        self._check()
        await self._context.write(response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def check(table: TokenTable, metadata: Metadata) -> None:
    """Raise UnauthenticatedError or PermissionDeniedError, or let the call in."""
    named = dict(metadata)
    hubs = table.hubs_of(_bearer(named.get("authorization")))
    if hubs is None:
        raise UnauthenticatedError(
            "this sidecar wants a token that it knows: send the metadata authorization: Bearer TOKEN"
        )
    hub = rpc.hub_of(named)
    if not token_table.covers(hubs, hub):
        raise PermissionDeniedError(f"the token is not for the task hub {hub[:_SHOWN]!r}")


def _bearer(authorization: str | bytes | None) -> str:
    """The token; empty, which is nobody's, where there is none."""
    scheme, _, token = str(authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refusal(error: Exception) -> Handler:
    async def refuse(_requests: Any, context: Any) -> None:
        await context.abort(code_of(error), str(error))

    # As a stream of requests, of which none is awaited: what is sent is not even received.
    return grpc.stream_stream_rpc_method_handler(refuse)
