"""How a thread waits for answers from another one: the same names as in `async_waiting.py`."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from durabletask.transport.in_process_calls import LATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.in_process import Failure, InProcessEngine
    from durabletask.transport.in_process_calls import Answered, Cancel


class Waiting:
    """Waits for the answers to one transport's calls."""

    def answer(
        self, begin: Callable[[Answered], Cancel], limit: float
    ) -> tuple[Any, Failure | None]:
        """Begin a call and wait for its answer, `limit` seconds at most."""
        answers: SimpleQueue[tuple[Any, Failure | None]] = SimpleQueue()
        cancel = begin(lambda response, failure: answers.put((response, failure)))
        try:
            return answers.get(timeout=min(limit, threading.TIMEOUT_MAX))
        except Empty:
            cancel()
            return None, LATE
        except BaseException:
            # Such as KeyboardInterrupt: nobody will read the answer.
            cancel()
            raise


class Arrivals:
    """What arrives for one reader, in order. `put` may be called from any thread."""

    def __init__(self, _waiting: Waiting) -> None:
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self.put = self._arrived.put

    def get(self, limit: float | None) -> Any:
        """The next item, or None if none arrives within `limit` seconds."""
        limit = None if limit is None else min(limit, threading.TIMEOUT_MAX)
        with suppress(Empty):
            return self._arrived.get(timeout=limit)
        return None


def check_may_wait(engine: InProcessEngine) -> None:
    """Raise RuntimeError if the engine needs this very thread to answer."""
    if engine.is_current_thread():
        raise RuntimeError(
            "This call would wait for the sidecar on the sidecar's own event loop, which could "
            "not answer meanwhile: await it with the asyncio client, or call from another thread."
        )
