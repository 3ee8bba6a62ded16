"""Either client over a scripted transport, so that one test body serves both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from tests.builders.transport import FakeAsyncTransport, FakeTransport


class ScriptedClient:
    """One of the two clients over a transport that plays a script."""

    def __init__(self, *, is_async: bool) -> None:
        self._client_class: Any = AsyncTaskHubGrpcClient if is_async else TaskHubGrpcClient
        self._transport_class = FakeAsyncTransport if is_async else FakeTransport
        self.transport = FakeTransport()

    def client(self, *answers: Any, **settings: Any) -> Any:
        self.transport = self._transport_class(*answers)
        return self._client_class(transport=self.transport, **settings)

    @property
    def request(self) -> Any:
        """The only request that was made."""
        (asked,) = self.transport.asked
        return asked.request

    @property
    def requests(self) -> list[Any]:
        """All requests that were made."""
        return [asked.request for asked in self.transport.asked]


async def items_of(iterator: Any) -> list[Any]:
    """What an iterator of either client gives."""
    if isinstance(iterator, AsyncIterator):
        return [item async for item in iterator]
    return list(iterator)


async def first_of(iterator: Any) -> Any:
    """The first thing that an iterator of either client gives."""
    return await anext(iterator) if isinstance(iterator, AsyncIterator) else next(iterator)
