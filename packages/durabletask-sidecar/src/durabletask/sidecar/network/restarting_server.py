"""Keep a gRPC server up that may end by itself.

grpcio's server for asyncio ends, with all calls that are under way, when it meets an error of
its own. One request whose path is no UTF-8 is such an error (seen in grpcio 1.85): whoever can
connect could stop the sidecar, which would go on without listening. So another server takes
the place of one that ended; workers and clients come back as they do after a restart.

Knows nothing about what is served.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

_log = logging.getLogger("durabletask.sidecar")

_LOOK = 1.0
# Between two attempts to listen again where somebody else may listen meanwhile.
_PAUSE = 1.0


class LastingServer:
    """Serves from `start` to `stop`; `make` makes a server that is about to listen."""

    def __init__(self, make: Callable[[], grpc.aio.Server], pause: float = _PAUSE) -> None:
        self._make = make
        self._pause = pause
        self._server = make()

    async def start(self) -> None:
        await self._server.start()
        self._watch = asyncio.create_task(self._watch_over())

    async def stop(self, grace: float) -> None:
        self._watch.cancel()
        # Not awaited itself: whatever became of it, there is more to be stopped.
        await asyncio.wait([self._watch])
        await self._server.stop(grace)

    async def _watch_over(self) -> None:
        while True:
            if await _has_ended(self._server):
                _log.error("gRPC ended by itself, as a malformed request makes it; serving anew")
                await self._server.stop(None)
                await self._replace()

    async def _replace(self) -> None:
        while True:
            try:
                self._server = self._make()
                await self._server.start()
            except Exception as error:  # noqa: BLE001 - there is no error to give up at
                _log.error("%s; trying again", error)
                await asyncio.sleep(self._pause)
            else:
                return


async def _has_ended(server: grpc.aio.Server) -> bool:
    """Whether the server ends by itself within a second.

    It tells of it only to those whose time is up, or once the last call has ended too: a work
    item stream may last for days.
    """
    try:
        return not await server.wait_for_termination(_LOOK)
    except Exception:  # noqa: BLE001 - whatever it ended of, which it has logged
        return True
