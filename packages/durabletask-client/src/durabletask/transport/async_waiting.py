"""How an event loop waits for answers from another thread: the same names as `sync_waiting.py`.

`async_in_process.py` uses these names; the file generated from it uses those of
`sync_waiting.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from durabletask.transport.in_process_calls import LATE
from durabletask.transport.loop_calls import LoopCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.in_process import Failure, InProcessEngine
    from durabletask.transport.in_process_calls import Answered, Cancel


class Waiting:
    """Waits for the answers to one transport's calls."""

    def __init__(self) -> None:
        self._in_loop: LoopCalls | None = None

    def in_loop(self) -> LoopCalls:
        """Makes calls in the running loop."""
        known = self._in_loop
        if known is None or known.loop is not asyncio.get_running_loop():
            known = self._in_loop = LoopCalls()
        return known

    async def answer(
        self, begin: Callable[[Answered], Cancel], limit: float
    ) -> tuple[Any, Failure | None]:
        """Begin a call and wait for its answer, `limit` seconds at most."""
        in_loop = self.in_loop()
        answer: asyncio.Future[tuple[Any, Failure | None]] = in_loop.loop.create_future()
        cancel = begin(lambda *answered: in_loop.at_once(_set, answer, answered))
        if answer.done():
            return answer.result()
        timer = in_loop.loop.call_later(limit, _set, answer, (None, LATE))
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
        self._in_loop = waiting.in_loop()
        self._arrived: deque[Any] = deque()
        self._reader: asyncio.Future[None] | None = None

    def put(self, item: Any) -> None:
        self._in_loop.at_once(self._arrive, item)

    async def get(self, limit: float | None) -> Any:
        """The next item, or None if none arrives within `limit` seconds."""
        if not self._arrived:
            self._reader = self._in_loop.loop.create_future()
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
