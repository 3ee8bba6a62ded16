"""Wake whoever waits for an instance to change.

A waiter costs one future. It is woken by the commit that changed its instance, looks at
the state anew, and waits again or leaves.

Knows nothing about states: what a waiter hopes for is its own business.
"""

from __future__ import annotations

import asyncio

from .errors import ShuttingDownError


class Waiters:
    """Everybody who waits for some instance."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], set[asyncio.Future[None]]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """How many instances are waited for."""
        return len(self._waiting)

    async def wait_changed(self, hub: str, instance_id: str) -> None:
        """Return after the next commit that changes the instance."""
        if self._is_closed:
            raise ShuttingDownError
        future = asyncio.get_running_loop().create_future()
        futures = self._waiting.setdefault((hub, instance_id), set())
        futures.add(future)
        try:
            await future
        finally:
            futures.discard(future)
            if not futures and self._waiting.get((hub, instance_id)) is futures:
                del self._waiting[hub, instance_id]

    def wake(self, hub: str, instance_id: str) -> None:
        for future in self._waiting.pop((hub, instance_id), ()):
            if not future.done():
                future.set_result(None)

    def wake_all(self, hub: str) -> None:
        for waiting_hub, instance_id in [key for key in self._waiting if key[0] == hub]:
            self.wake(waiting_hub, instance_id)

    def close(self) -> None:
        """Send everybody away with ShuttingDownError, and whoever comes later too."""
        self._is_closed = True
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(ShuttingDownError())
