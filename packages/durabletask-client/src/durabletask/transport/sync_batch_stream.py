"""One batch stream over gRPC for threads that wait for their answers.

    caller --signal--> gRPC's thread, which sends      reader thread --answer--> caller

The hops between threads cost about what a batch of one call saves, so a call uses the stream
while others are under way, and is made by itself otherwise.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import batch_stream, codec
from durabletask.transport.channel_batches import (
    CLOSED,
    ENDED,
    NOT_ADMITTED,
    OPENING_TIMEOUT,
    failure_of_bug,
    failure_of_stream,
)
from durabletask.transport.multiplexer import LATE, NO_RESPONSE, CallFailure, Multiplexer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel_batches import NoteEnd


class SyncBatchStream:
    """One stream; used by any number of threads.

    `open_rpc` is given the batches to send. The stream ends by itself if the sidecar does not
    admit it within `opening_timeout` seconds.
    """

    def __init__(
        self,
        open_rpc: Callable[[Iterator[bytes]], Any],
        batch_bytes: int,
        note_end: NoteEnd,
        *,
        opening_timeout: float = OPENING_TIMEOUT,
    ) -> None:
        self._open_rpc = open_rpc
        self._note_end = note_end
        self._calls = Multiplexer(batch_bytes)
        self._lock = threading.Lock()
        """Held for whatever reads or changes the calls, and never for long."""
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._is_signalled = False
        self._is_unwanted = False
        self._rpc: Any = None
        self.is_open = False
        self.failure: CallFailure | None = None
        self.decided = threading.Event()
        """Set once it is open, or has ended before."""
        # gRPC has no limit for the time until a stream is admitted.
        self._opening_limit = threading.Timer(opening_timeout, self._give_up_opening)
        self._opening_limit.daemon = True
        # A daemon: it waits for the sidecar, and the program may end meanwhile.
        threading.Thread(target=self._run, name="durabletask-batches", daemon=True).start()

    def fits(self, method: Method, payload: bytes, metadata: Metadata) -> bool:
        """Whether such a call can be sent on it, and gains from it."""
        return self._calls.fits(method, payload, metadata)

    def unary(
        self, method: Method, payload: bytes, timeout: float, metadata: Metadata
    ) -> bytes | None:
        """Make a call; None if it was certainly not sent.

        Raises what the same call by itself would raise.
        """
        response = _Response()
        with self._lock:
            if not self.is_open:
                return None
            id = self._calls.open(method, payload, response, metadata)
        self._signal()
        try:
            if response.wait(timeout):
                return response.result()
        finally:
            self._cancel(id)
        raise BatchedCallError(LATE)

    def close(self) -> None:
        """End the stream, and all calls on it."""
        self._end(CLOSED)
        if self._rpc is not None:
            self._rpc.cancel()

    def close_from_anywhere(self) -> None:
        """Let the reader thread do the same: the caller's may hold the lock."""
        self._is_unwanted = True
        if self._rpc is not None:
            self._rpc.cancel()

    def _cancel(self, id: int) -> None:
        with self._lock:
            self._calls.cancel(id)
            has_more = self._calls.has_more_to_send
        if has_more:
            self._signal()

    def _signal(self) -> None:
        """Let gRPC's thread ask for the next batch; once for many calls."""
        if not self._is_signalled:
            self._is_signalled = True
            self._signals.put(None)

    def _batches(self) -> Iterator[bytes]:
        while self.failure is None:
            # First, so that a call which comes from now on signals again.
            self._is_signalled = False
            with self._lock:
                batch = self._calls.next_batch() if self._calls.has_more_to_send else b""
            if batch:
                yield batch
            else:
                self._signals.get()

    def _run(self) -> None:
        failure = ENDED
        try:
            self._rpc = self._open_rpc(self._batches())
            # What ends it, looks for `_rpc` only afterwards.
            if self._is_unwanted or self.failure is not None:
                return
            self._opening_limit.start()
            self._admission()
            for raw in self._rpc:
                if not self.is_open:
                    failure = NOT_ADMITTED
                    return
                with self._lock:
                    self._calls.receive(raw)
        except grpc.RpcError as error:
            failure = failure_of_stream(error)
        except codec.DecodeError as error:
            failure = CallFailure("INTERNAL", f"The sidecar sent what is no batch: {error}")
        except Exception as error:  # noqa: BLE001 - it is logged, and the calls are told
            # On a channel that was closed meanwhile gRPC raises ValueError.
            if self.failure is None:
                failure = failure_of_bug(error)
        finally:
            self._end(failure)
            if self._rpc is not None:
                self._rpc.cancel()

    def _admission(self) -> None:
        metadata = dict(self._rpc.initial_metadata() or ())
        with self._lock:
            self.is_open = batch_stream.OFFER_KEY in metadata and self.failure is None
        # A stream that is refused has no offer, and reading from it says why.
        if self.is_open:
            self._opening_limit.cancel()
            self.decided.set()

    def _give_up_opening(self) -> None:
        with self._lock:
            if self.is_open:
                return
        self._end(NOT_ADMITTED)
        self._rpc.cancel()

    def _end(self, failure: CallFailure) -> None:
        with self._lock:
            if self.failure is not None:
                return
            was_open, self.is_open = self.is_open, False
            self.failure = failure
            self._calls.end(failure)
        self._opening_limit.cancel()
        self.decided.set()
        self._note_end(failure, was_open)
        self._signals.put(None)


class _Response:
    """Lets one thread wait for the one response of its call."""

    __slots__ = ("_failure", "_is_waited_for", "_response")

    def __init__(self) -> None:
        self._is_waited_for = threading.Lock()
        self._is_waited_for.acquire()
        self._response: bytes | None = None
        self._failure: CallFailure | None = None

    def received(self, responses: list[bytes]) -> None:
        if responses:
            self._response = responses[0]

    def ended(self, failure: CallFailure | None) -> None:
        self._failure = failure
        self._is_waited_for.release()

    def wait(self, timeout: float) -> bool:
        """Whether the call has ended within so many seconds."""
        return self._is_waited_for.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))

    def result(self) -> bytes | None:
        failure = self._failure
        if failure is None and self._response is None:
            failure = NO_RESPONSE
        if failure is not None and failure.was_sent:
            raise BatchedCallError(failure)
        return self._response


class BatchedCallError(grpc.RpcError):
    """Why a call on a batch stream failed, as gRPC says it of a call by itself."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure.details)
        self._failure = failure

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.__members__.get(self._failure.status, grpc.StatusCode.UNKNOWN)

    def details(self) -> str:
        return self._failure.details

    def initial_metadata(self) -> tuple[()]:
        return ()

    def trailing_metadata(self) -> tuple[()]:
        return ()
