"""Call functions in an event loop from any thread.

However many calls wait, the loop is woken once for them: the hop between threads costs more
than a small orchestrator turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _drop(*_args: Any) -> None:
    """Nobody waits for a call in a loop that is closed."""


class LoopCalls:
    """Calls to be made in the event loop that made this object, in the order they were asked for.

    A function that raises costs no other call: the loop reports it. In a loop that is closed
    nothing is called any more: `dropped` is called instead, once for each call, with its
    arguments and on the thread that finds the loop closed.
    """

    def __init__(self, dropped: Callable[..., object] = _drop) -> None:
        self.loop = asyncio.get_running_loop()
        self._dropped = dropped
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
        # A loop that was closed before it made the calls will not make them.
        if not self._is_due or self.loop.is_closed():
            self._wake()

    def at_once(self, function: Callable[..., object], *args: Any) -> None:
        """Call it now if this is the event loop's thread and no call waits, and soon otherwise."""
        if self.is_current_thread() and not self._calls and self.loop.is_running():
            function(*args)
        else:
            self(function, *args)

    def _wake(self) -> None:
        self._is_due = True
        try:
            if self.is_current_thread():
                self.loop.call_soon(self._make_calls, context=self._context)
            else:
                self.loop.call_soon_threadsafe(self._make_calls, context=self._context)
        except RuntimeError:
            self._drop_calls()

    def _make_calls(self) -> None:
        # Before the calls are taken: one that comes later wakes the loop again.
        self._is_due = False
        try:
            for _ in range(len(self._calls)):
                function, args = self._calls.popleft()
                function(*args)
        finally:
            # One has raised.
            if self._calls and not self._is_due:
                self._wake()

    def _drop_calls(self) -> None:
        # Before the calls are taken: one that comes later is dropped by its own thread.
        self._is_due = False
        while True:
            try:
                _, args = self._calls.popleft()
            except IndexError:
                # Perhaps another thread drops them too: each call goes to one of them.
                return
            self._dropped(*args)
