"""Recorded credentials, a clock that tests control, and a server that records its calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self

import grpc.aio
from azure.core.credentials import AccessToken

from tests.builders.transport import RawSidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = 1_800_000_000.0


class ManualTime:
    """The seconds since 1970, when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Gives `secret-1`, `secret-2`, … for an hour each, or raises what is in `failures`."""

    def __init__(self, time: ManualTime | None = None, *, lifetime: float = 3600) -> None:
        self.time = time or ManualTime()
        self.lifetime = lifetime
        self.scopes: list[str] = []
        self.failures: list[BaseException] = []

    def issue(self, scopes: tuple[str, ...]) -> AccessToken:
        self.scopes.extend(scopes)
        if self.failures:
            raise self.failures.pop(0)
        return AccessToken(f"secret-{len(self.scopes)}", int(self.time.now + self.lifetime))


class FakeCredential(Issuer):
    """A credential for threads."""

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        return self.issue(scopes)


class FakeAsyncCredential(Issuer):
    """A credential for an event loop."""

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        return self.issue(scopes)

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: object = None, exc_value: object = None, traceback: object = None
    ) -> None: ...


class Heard:
    """The headers of each call, by method; each is a dict, so a key that came twice is an error."""

    def __init__(self) -> None:
        self.calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.first: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def hear(self, method: str, context: Any) -> None:
        pairs = list(context.invocation_metadata())
        headers = dict(pairs)
        assert len(headers) == len(pairs), pairs
        self.calls[method].append(headers)
        self.first[method].set()

    def values(self, method: str, header: str) -> list[Any]:
        return [headers.get(header) for headers in self.calls[method]]


@contextlib.asynccontextmanager
async def scheduler(
    *, unary: tuple[str, ...] = ("GetInstance",), streams: tuple[str, ...] = ()
) -> AsyncIterator[tuple[str, Heard]]:
    """A server on this machine that gives empty answers; gives its address and what it hears."""
    heard = Heard()

    def answer(method: str) -> Any:
        async def handler(_request: bytes, context: Any) -> bytes:
            heard.hear(method, context)
            return b""

        return handler

    def end(method: str) -> Any:
        async def handler(_request: bytes, context: Any) -> AsyncIterator[bytes]:
            heard.hear(method, context)
            yield b""

        return handler

    server = grpc.aio.server()
    handlers = RawSidecar({name: answer(name) for name in unary}, {n: end(n) for n in streams})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}", heard
    finally:
        await server.stop(None)
