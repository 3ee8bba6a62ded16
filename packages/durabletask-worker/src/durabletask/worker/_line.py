"""Hold the transport that is current, and replace it.

The stream and the answers share it. gRPC keeps a channel that failed in its own ever
longer backoff; a new channel dials at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.transport import AsyncTransport


class Line:
    """A transport, made by `connect` when it is first asked for and anew after `renew`."""

    def __init__(self, connect: Callable[[], AsyncTransport]) -> None:
        self._connect = connect
        self._transport: AsyncTransport | None = None

    def transport(self) -> AsyncTransport:
        if self._transport is None:
            self._transport = self._connect()
        return self._transport

    async def renew(self) -> None:
        """Close the transport; calls under way on it end CANCELLED, and are sent again."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()
