"""Serve the clients and workers of the sidecar's own process, from any thread.

    any thread --call--> inbox --one wake-up for many--> event loop --answered--> callbacks

`durabletask.protocol.in_process` lists the engine, and says what it promises. Once it is closed,
or its event loop has ended, every call is answered with UNAVAILABLE: none is left waiting. A
call is begun, ended and counted on the event loop alone; other threads only refuse what has not
begun.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec
from durabletask.protocol.in_process import Failure

from .service.call_runner import CANCELLED, STOPPING
from .service.calls import ENGINE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durabletask.protocol.in_process import Metadata
    from durabletask.protocol.methods import Method

    from .service.call_runner import CallRunner

    Answered = Callable[[Any, Failure | None], None]
    Received = Callable[[Sequence[bytes]], None]
    Ended = Callable[[Failure | None], None]


class Engine:
    """The sidecar as `durabletask.protocol.in_process.InProcessEngine`.

    Made on the sidecar's event loop. `message_bytes` is the limit on one request; None sets none.
    """

    name = ENGINE_NAME

    def __init__(self, runner: CallRunner, message_bytes: int | None) -> None:
        self._runner = runner
        self._message_bytes = message_bytes
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._inbox: deque[_Call] = deque()
        self._is_woken = False
        self._is_closed = False
        # A loop that ends without `stop` cancels its tasks, even those that have not begun.
        self._guard = self._loop.create_task(_forever())
        self._guard.add_done_callback(self._close)

    def is_current_thread(self) -> bool:
        return threading.get_ident() == self._thread

    def call(
        self,
        method: Method,
        request: Any,
        metadata: Metadata,
        answered: Answered,
    ) -> Callable[[], None]:
        failure = self._refusal(method, request)
        if failure is not None:
            answered(None, failure)
            return _nothing
        call = _UnaryCall(self, method, request, metadata, answered)
        self.hand_in(call)
        return call.cancel

    def stream(
        self,
        method: Method,
        request: Any,
        metadata: Metadata,
        received: Received,
        ended: Ended,
    ) -> Callable[[], None]:
        failure = self._refusal(method, request)
        if failure is not None:
            ended(failure)
            return _nothing
        call = _StreamingCall(self, method, request, metadata, received, ended)
        self.hand_in(call)
        return call.cancel

    async def stop(self, grace: float) -> None:
        """Refuse new calls, wait at most `grace` seconds for those under way, and close."""
        self._is_closed = True
        self._refuse_all()
        await self._runner.stop(grace)
        self._guard.cancel()
        await asyncio.wait([self._guard])

    def _refusal(self, method: Method, request: Any) -> Failure | None:
        """Why a request cannot be carried over gRPC either; raises EncodeError for bad values."""
        size, limit = len(codec.encode(request, method.sdk_dialect)), self._message_bytes
        if limit is None or size <= limit:
            return None
        # As gRPC says it: senders read the numbers.
        return Failure(
            "RESOURCE_EXHAUSTED", f"Received message larger than max ({size} vs. {limit})"
        )

    def hand_in(self, call: _Call) -> None:
        """Let the event loop begin the call, unless it is closed."""
        self._inbox.append(call)
        if self._is_closed:
            self._refuse_all()
        elif self.is_current_thread():
            self._take()
        elif not self._is_woken:
            self._is_woken = True
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError:
                # The loop is closed, and so is everything that ran on it.
                self._is_closed = True
                self._refuse_all()

    def cancel(self, call: _Call) -> None:
        """Let the event loop end the call if it runs, also while the sidecar stops."""
        if self.is_current_thread() and not self._is_closed:
            call.end_running()
            return
        try:
            self._loop.call_soon_threadsafe(call.end_running)
        except RuntimeError:
            # The loop is closed, and every call that ran on it has ended.
            return

    def _take(self) -> None:
        # First, so that a call which comes from now on wakes the loop again.
        self._is_woken = False
        self._runner.together(self._proceed_all)

    def _proceed_all(self) -> None:
        while (call := self._next()) is not None:
            # A thread may have added a call just before it could see that.
            if self._is_closed:
                call.refuse()
            else:
                call.begin(self._runner)

    def _refuse_all(self) -> None:
        while (call := self._next()) is not None:
            call.refuse()

    def _next(self) -> _Call | None:
        """The next call; when several threads ask at once, each call goes to one of them."""
        try:
            return self._inbox.popleft()
        except IndexError:
            return None

    def _close(self, _guard: object) -> None:
        self._is_closed = True
        self._refuse_all()
        self._runner.close()


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


class _Call(ABC):
    """One call, which is in the inbox once: it is begun or refused there, and answered once."""

    __slots__ = (
        "_cancel_running",
        "_engine",
        "_is_cancelled",
        "_metadata",
        "_method",
        "_request",
    )

    def __init__(self, engine: Engine, method: Method, request: Any, metadata: Metadata) -> None:
        self._engine = engine
        self._method = method
        self._request = request
        self._metadata = metadata
        self._cancel_running: Callable[[], object] | None = None
        """What cancels the call at the runner, once it has begun."""
        self._is_cancelled = False

    def cancel(self) -> None:
        """Cancel the call, from any thread."""
        self._is_cancelled = True
        self._engine.cancel(self)

    def begin(self, runner: CallRunner) -> None:
        """Begin the call, unless it is cancelled."""
        if self._is_cancelled:
            self._fail(CANCELLED)
        else:
            self._cancel_running = self._run(runner)

    def end_running(self) -> None:
        """Cancel the call if it has begun; otherwise `begin` or `refuse` answers it."""
        if self._cancel_running is not None:
            self._cancel_running()

    def refuse(self) -> None:
        """Answer a call that has not begun and never will."""
        self._fail(CANCELLED if self._is_cancelled else STOPPING)

    @abstractmethod
    def _run(self, runner: CallRunner) -> Callable[[], object]:
        """Let the call be carried out; returns what cancels it."""

    @abstractmethod
    def _fail(self, failure: Failure) -> None:
        """Answer the call, which has not begun."""


class _UnaryCall(_Call):
    """A call with one response."""

    __slots__ = ("_answered",)

    def __init__(
        self, engine: Engine, method: Method, request: Any, metadata: Metadata, answered: Answered
    ) -> None:
        super().__init__(engine, method, request, metadata)
        self._answered = answered

    def _run(self, runner: CallRunner) -> Callable[[], object]:
        return runner.call(self._method, self._request, self._metadata, self._answered)

    def _fail(self, failure: Failure) -> None:
        self._answered(None, failure)


class _StreamingCall(_Call):
    """A call with many responses."""

    __slots__ = ("_ended", "_received")

    def __init__(  # noqa: PLR0917 - in the order of `Engine.stream`
        self,
        engine: Engine,
        method: Method,
        request: Any,
        metadata: Metadata,
        received: Received,
        ended: Ended,
    ) -> None:
        super().__init__(engine, method, request, metadata)
        self._received = received
        self._ended = ended

    def _run(self, runner: CallRunner) -> Callable[[], object]:
        return runner.stream(
            self._method, self._request, self._metadata, self._received, self._ended
        )

    def _fail(self, failure: Failure) -> None:
        self._ended(failure)


def _nothing() -> None:
    """There is nothing to cancel."""
