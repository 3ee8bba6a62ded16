"""How an event loop waits for answers from another thread: the same names as `sync_waiting.py`.

`async_in_process.py` uses these names; the file generated from it uses those of
`sync_waiting.py`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from durabletask.transport.in_process_calls import LATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.in_process import Failure, InProcessEngine
    from durabletask.transport.in_process_calls import Answered, Cancel


class Handover:
    """Calls functions on the running event loop for other threads: one wake-up for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._thread = threading.get_ident()
        self._due: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_woken = False

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call the function soon, or now if this is the loop's own thread."""
        if threading.get_ident() == self._thread and not self._due:
            function(*arguments)
            return
        self._due.append((function, arguments))
        if not self._is_woken:
            self._is_woken = True
            # Nobody waits for what is handed to a loop that is closed.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        # First, so that what is handed over from now on wakes the loop again.
        self._is_woken = False
        while self._due:
            function, arguments = self._due.popleft()
            function(*arguments)


class Waiting:
    """Waits for the answers to one transport's calls."""

    def __init__(self) -> None:
        self._handover: Handover | None = None

    def handover(self) -> Handover:
        """The one of the running loop."""
        loop, known = asyncio.get_running_loop(), self._handover
        if known is None or known.loop is not loop:
            known = self._handover = Handover(loop)
        return known

    async def answer(
        self, begin: Callable[[Answered], Cancel], limit: float
    ) -> tuple[Any, Failure | None]:
        """Begin a call and wait for its answer, `limit` seconds at most."""
        handover = self.handover()
        answer: asyncio.Future[tuple[Any, Failure | None]] = handover.loop.create_future()
        cancel = begin(lambda response, failure: handover.call(_set, answer, (response, failure)))
        if answer.done():
            return answer.result()
        timer = handover.loop.call_later(limit, _set, answer, (None, LATE))
        try:
            response, failure = await answer
        except asyncio.CancelledError:
            cancel()
            raise
        finally:
            timer.cancel()
        if failure is LATE:
            cancel()
        return response, failure


class Arrivals:
    """What arrives for one reader, in order. `put` may be called from any thread."""

    def __init__(self, waiting: Waiting) -> None:
        self._handover = waiting.handover()
        self._arrived: deque[Any] = deque()
        self._reader: asyncio.Future[None] | None = None

    def put(self, item: Any) -> None:
        self._handover.call(self._arrive, item)

    async def get(self, limit: float | None) -> Any:
        """The next item, or None if none arrives within `limit` seconds."""
        if not self._arrived:
            self._reader = self._handover.loop.create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._reader
        return self._arrived.popleft() if self._arrived else None

    def _arrive(self, item: Any) -> None:
        self._arrived.append(item)
        if self._reader is not None:
            _set(self._reader, None)


def check_may_wait(_engine: InProcessEngine) -> None:
    """Do nothing: who waits here lets the loop run."""


def _set(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
