"""Call functions in an event loop from any thread.

However many calls wait, the loop is woken once for them: the hop between threads costs more
than a small orchestrator turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class LoopCalls:
    """Calls to be made in the event loop that made this object, in the order they were asked for.

    The functions must not raise. In a loop that is closed nothing is called any more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        # Not that of the thread which happens to ask for the call.
        self._context = contextvars.copy_context()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_due = False

    def is_current_thread(self) -> bool:
        """Whether the caller runs on the event loop's thread."""
        return threading.get_ident() == self._thread

    def __call__(self, function: Callable[..., object], *args: Any) -> None:
        """Have it called soon, from any thread."""
        self._calls.append((function, args))
        if self._is_due:
            return
        self._is_due = True
        with contextlib.suppress(RuntimeError):
            if self.is_current_thread():
                self._loop.call_soon(self._make_calls, context=self._context)
            else:
                self._loop.call_soon_threadsafe(self._make_calls, context=self._context)

    def _make_calls(self) -> None:
        # Before the calls are taken: one that comes later wakes the loop again.
        self._is_due = False
        for _ in range(len(self._calls)):
            function, args = self._calls.popleft()
            function(*args)
