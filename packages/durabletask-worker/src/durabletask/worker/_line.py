"""Hold the transport that is current, and replace it.

The stream and the answers share it. gRPC keeps a channel that failed in its own ever
longer backoff; a new channel dials at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages, methods

from ._peers import Peer, peer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.core.settings import Settings
    from durabletask.transport import AsyncTransport


class Line:
    """A transport, made by `connect` when it is first asked for and anew after `renew`."""

    def __init__(self, connect: Callable[[], AsyncTransport], settings: Settings) -> None:
        self._connect = connect
        self._settings = settings
        self._transport: AsyncTransport | None = None

    def transport(self) -> AsyncTransport:
        if self._transport is None:
            self._transport = self._connect()
        return self._transport

    async def settle(self) -> Peer:
        """Who is at the other end; found out once for each channel."""
        return peer_of(await self.transport().identify_engine(), self._settings)

    async def history(self, instance_id: str) -> list[messages.HistoryEvent]:
        """All that history has of the instance, from engines that tell it this way."""
        request = messages.GetInstanceHistoryRequest(instance_id=instance_id)
        response: messages.GetInstanceHistoryResponse = await self.transport().unary(
            methods.GET_INSTANCE_HISTORY, request
        )
        return response.events

    async def renew(self) -> None:
        """Close the transport; calls under way on it end CANCELLED, and are sent again."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()
