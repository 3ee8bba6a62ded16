"""The reply to a submission, for those who wait until the submission is stored."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from durabletask.sidecar.engine.transition import Reply


class PendingReply:
    """Awaited, it returns the reply, or raises the error that the submission ended with.

    Any number may wait for it; one that is cancelled does not cancel it for the others. Its
    callbacks run at once, while a future's wait for the next iteration of the event loop: a
    commit can answer everybody in the iteration in which it is stored.
    """

    __slots__ = ("_callbacks", "_error", "_reply")

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[], object]] = []

    def done(self) -> bool:
        return self._reply is not None or self._error is not None

    def result(self) -> Reply:
        """The reply, once it is there; raises the error if there is one."""
        if self._error is not None:
            raise self._error
        if self._reply is None:
            raise asyncio.InvalidStateError("the submission is not stored yet")
        return self._reply

    def call_when_done(self, callback: Callable[[], object]) -> None:
        """Call back once it is done, which may be now; what the callback raises is logged."""
        if self.done():
            _call(callback)
        else:
            self._callbacks.append(callback)

    def set_reply(self, reply: Reply) -> None:
        self._reply = reply
        self._call_back()

    def set_error(self, error: Exception) -> None:
        self._error = error
        self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            _call(callback)

    def __await__(self) -> Generator[object, None, Reply]:
        if not self.done():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._callbacks.append(partial(_wake, waiting))
            yield from waiting
        return self.result()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - all others are still to be called
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a caller could not be told that its change is stored", "exception": error}
        )
