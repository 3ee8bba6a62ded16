"""A scripted sidecar that takes calls in batches, with a connection that has a thread of its own."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Any

from tests.builders.worker import ScriptedSidecar, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durabletask.protocol import methods


class ConnectionThread:
    """A thread that calls what it is given, in order; callbacks must not raise."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]] | None]
        self._calls = queue.SimpleQueue()
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, name="the connection", daemon=True)
        self.thread.start()

    def call(self, function: Callable[..., None], *args: Any) -> None:
        self._calls.put((function, args))

    async def idle(self) -> None:
        """Wait until everything has been called, and what that asked of the loop is done."""
        called = threading.Event()
        self.call(called.set)
        await asyncio.to_thread(called.wait, 10)
        await settle()

    def close(self) -> None:
        """End it once everything has been called."""
        self._calls.put(None)
        self.thread.join(10)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            function, args = call
            try:
                function(*args)
            except BaseException as error:
                self.errors.append(error)


class ScriptedBatchedStream:
    """A stream of work items in batches that a test fills and ends."""

    def __init__(self, connection: ConnectionThread, received: Any, ended: Any) -> None:
        self._connection = connection
        self._received = received
        self._ended = ended
        self.is_closed = False

    def send(self, *raws: bytes) -> None:
        self._connection.call(self._received, raws)

    def end(self, error: Exception | None = None) -> None:
        self._connection.call(self._ended, error)

    def cancel(self) -> None:
        self.is_closed = True


class BatchingSidecar(ScriptedSidecar):
    """As `ScriptedSidecar`; what it is sent in batches, it answers on its connection's thread.

    While `is_holding`, answers wait for `let_go`. `call_errors` are raised by the next calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connection = ConnectionThread()
        self.in_batches: list[tuple[str, Any]] = []
        self.batched_streams: list[ScriptedBatchedStream] = []
        self.call_errors: list[Exception] = []
        self.is_holding = False
        self._held: list[tuple[Any, Any, Exception | None]] = []
        self._loop = asyncio.get_running_loop()
        self._batches = _Batches(self)

    def batched_calls(self) -> _Batches:
        return self._batches

    def let_go(self) -> None:
        """Answer the calls that were held."""
        held, self._held = self._held, []
        for answered, response, error in held:
            self.connection.call(answered, response, error)

    def answered_in_batches(self, method: methods.Method) -> list[Any]:
        return [request for name, request in self.in_batches if name == method.name]

    async def opened_batched(self, count: int = 1) -> ScriptedBatchedStream:
        await self._until(lambda: len(self.batched_streams) >= count)
        return self.batched_streams[count - 1]

    def take_call(self, method: methods.Method, request: Any, answered: Any) -> None:
        if self.call_errors:
            raise self.call_errors.pop(0)
        self.in_batches.append((method.name, request))
        self.calls.append((method.name, request))
        refusals = self._refusals[method.name]
        error = refusals.popleft() if refusals else None
        response = method.response_class()() if error is None else None
        if self.is_holding:
            self._held.append((answered, response, error))
        else:
            self.connection.call(answered, response, error)
        self._loop.call_soon_threadsafe(self._news.set)

    def open_batched(self, received: Any, ended: Any) -> ScriptedBatchedStream:
        self.batched_streams.append(ScriptedBatchedStream(self.connection, received, ended))
        self._news.set()
        return self.batched_streams[-1]


class _Batches:
    """The `BatchedCalls` of a `BatchingSidecar`."""

    def __init__(self, sidecar: BatchingSidecar) -> None:
        self._sidecar = sidecar

    def call(
        self,
        method: methods.Method,
        request: Any,
        answered: Callable[[Any, Exception | None], None],
        *,
        metadata: Any = (),
    ) -> Callable[[], None]:
        self._sidecar.take_call(method, request, answered)
        return lambda: None

    def stream(
        self,
        method: methods.Method,
        request: Any,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Exception | None], None],
        *,
        metadata: Any = (),
    ) -> Callable[[], None]:
        return self._sidecar.open_batched(received, ended).cancel
