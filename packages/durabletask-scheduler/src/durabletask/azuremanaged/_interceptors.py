"""Add the token to the metadata of every call, streams included.

gRPC calls an interceptor once for each attempt, so a call that is repeated for long always has
a valid token. For asyncio there is one class for each kind of call: grpc.aio registers an
interceptor under the first kind that it is an instance of, so one class for both would miss all
streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import grpc.aio

from durabletask.transport import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._tokens import AsyncTokens, Tokens


def for_threads(tokens: Tokens) -> Sequence[Any]:
    """The interceptors for a `grpc.Channel`."""
    return (_Authorize(tokens),)


def for_asyncio(tokens: AsyncTokens) -> Sequence[Any]:
    """The interceptors for a `grpc.aio.Channel`."""
    return _AuthorizeUnary(tokens), _AuthorizeStream(tokens)


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _CallDetails(_Details, grpc.ClientCallDetails):
    """The details of a call, as the class that gRPC requires."""


class _Authorize(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
):
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._authorized(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._authorized(details), request)

    def _authorized(self, details: Any) -> _CallDetails:
        token = self._tokens.get(_timeout(details))
        return _CallDetails(
            details.method,
            details.timeout,
            (*(details.metadata or ()), _bearer(token)),
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )


class _AsyncAuthorize:
    def __init__(self, tokens: AsyncTokens) -> None:
        self._tokens = tokens

    async def _authorized(self, details: Any) -> Any:
        token = await self._tokens.get(_timeout(details))
        metadata = grpc.aio.Metadata(*(details.metadata or ()), _bearer(token))
        return details._replace(metadata=metadata)


class _AuthorizeUnary(_AsyncAuthorize, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(await self._authorized(details), request)


class _AuthorizeStream(_AsyncAuthorize, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(await self._authorized(details), request)


def _timeout(details: Any) -> float:
    # A stream has no deadline, but it must not wait for its token for ever.
    return DEFAULT_TIMEOUT if details.timeout is None else details.timeout


def _bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"
