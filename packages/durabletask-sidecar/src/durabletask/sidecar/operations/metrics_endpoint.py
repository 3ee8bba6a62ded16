"""Answer HTTP requests for one page, on the event loop that writes it.

Just enough of HTTP for what scrapes: one request a connection, and few connections. A thread
with a larger server would have to ask the loop for its numbers, and to be waited for.

Knows nothing about what is on the page.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from durabletask.sidecar.network.listening import check_free, target

if TYPE_CHECKING:
    from collections.abc import Callable

    Page = Callable[[str], tuple[bytes, str]]

_PATHS = ("/", "/metrics")
_MOST_CONNECTIONS = 20
# For a request to come and its answer to be read.
_PATIENCE = 10.0


class Scrapes:
    """Serves the page that `page` makes for an Accept header, with its content type."""

    def __init__(self, host: str, port: int, page: Page) -> None:
        self._host = host
        self._port = port
        self._page = page
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`; the port is known once it has started."""
        return target(self._host, self._port)

    async def start(self) -> None:
        """Listen, or raise OSError."""
        check_free(self._host, self._port)
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and end what is being answered."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._answer(reader, writer))
        self._connections.add(connection)
        try:
            with suppress(asyncio.CancelledError):
                await connection
        finally:
            self._connections.discard(connection)
            # What was not read by then is not sent any more.
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) > _MOST_CONNECTIONS:
            return
        # Whoever asks too slowly, too much or not at all gets no answer.
        silence = (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError)
        with suppress(*silence):
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head.decode("latin-1")))
                # Waits until all of it is on its way.
                writer.close()
                await writer.wait_closed()

    def _response(self, head: str) -> bytes:
        request, *headers = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _message("405 Method Not Allowed", "text/plain", b"only GET is served\n")
        if path not in _PATHS:
            return _message("404 Not Found", "text/plain", b"see /metrics\n")
        body, content_type = self._page(_accept(headers))
        return _message("200 OK", content_type, body, is_head=method == "HEAD")


def _accept(headers: list[str]) -> str:
    for header in headers:
        name, _, value = header.partition(":")
        if name.lower() == "accept":
            return value.strip()
    return ""


def _message(status: str, content_type: str, body: bytes, *, is_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if is_head else body)
