"""Replace a gRPC server that ends by itself.

grpcio's server for asyncio ends, with all calls under way, when it meets an internal error.
One request whose path is not UTF-8 causes one (seen in grpcio 1.85), so anybody who can
connect could stop the sidecar, which would go on without listening. A new server takes the
place of one that ended; workers and clients reconnect as they do after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

_log = logging.getLogger("durabletask.sidecar")

_CHECK_SECONDS = 1.0
# Between two attempts to listen again: another process may have taken the port meanwhile.
_RETRY_SECONDS = 1.0


class RestartingServer:
    """Serves from `start` to `stop`; `make` makes a server that is about to listen."""

    def __init__(
        self, make: Callable[[], grpc.aio.Server], retry_seconds: float = _RETRY_SECONDS
    ) -> None:
        self._make = make
        self._retry_seconds = retry_seconds
        self._server = make()

    async def start(self) -> None:
        await self._server.start()
        self._watch = asyncio.create_task(self._watch_over())

    async def stop(self, grace: float) -> None:
        self._watch.cancel()
        # Waited for without raising its error: the server has to be stopped in any case.
        await asyncio.wait([self._watch])
        await self._server.stop(grace)

    async def _watch_over(self) -> None:
        while True:
            if await _has_ended(self._server):
                _log.error(
                    "The gRPC server ended by itself, perhaps after a malformed request; restarting it"
                )
                await self._server.stop(None)
                await self._replace()

    async def _replace(self) -> None:
        while True:
            try:
                self._server = self._make()
                await self._server.start()
            except Exception as error:  # noqa: BLE001 - no error is a reason to stop trying
                _log.error("Cannot restart the gRPC server, trying again: %s", error)
                await asyncio.sleep(self._retry_seconds)
            else:
                return


async def _has_ended(server: grpc.aio.Server) -> bool:
    """Whether the server ends by itself within a second.

    gRPC reports it only when the timeout is over, or once the last call has ended too: a work
    item stream may last for days.
    """
    try:
        return not await server.wait_for_termination(_CHECK_SECONDS)
    except Exception:  # noqa: BLE001 - gRPC has logged the error
        return True
