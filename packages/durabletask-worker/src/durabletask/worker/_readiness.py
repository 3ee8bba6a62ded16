"""Let threads and event loops wait until the worker has its stream of work items.

Knows nothing about connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """A flag that is set and cleared in one thread and waited for anywhere."""

    def __init__(self) -> None:
        self._is_set = threading.Event()
        self._wakers: set[Callable[[], object]] = set()

    def set(self) -> None:
        self._is_set.set()
        for wake in tuple(self._wakers):
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                wake()

    def clear(self) -> None:
        self._is_set.clear()

    def wait(self, timeout: float | None) -> bool:
        """Block the thread for so many seconds at most; whether the flag was set."""
        return self._is_set.wait(timeout)

    async def wait_async(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - as for threads
        """Wait in the running event loop, any loop, for so many seconds at most."""
        woken = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
        self._wakers.add(wake)
        try:
            # After the waker is there: a flag that is set between the two is not missed.
            if not self._is_set.is_set():
                await asyncio.wait_for(woken.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self._wakers.discard(wake)
        return True
