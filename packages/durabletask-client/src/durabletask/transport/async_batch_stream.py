"""One batch stream over gRPC, driven by an event loop; and the batch stream of a channel.

    none --first call--> opening --admitted--> open --broken--> none, for a moment
                            +--refused--> none, for a moment or for good

Whatever is ready is written as soon as the write before it is done. While there is no open
stream, calls are made one by one, as with any other engine: the stream only saves time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

import grpc.aio

from durabletask.protocol import batch_stream, codec
from durabletask.transport.limits import Openings
from durabletask.transport.multiplexer import CallFailure, Multiplexer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.multiplexer import Waiting

_log = logging.getLogger("durabletask.transport")

# Seconds to wait for a sidecar, or a proxy before it, that does not answer the opening.
_OPENING_TIMEOUT: Final = 5.0

CLOSED: Final = CallFailure("CANCELLED", "The channel was closed")
_ENDED: Final = CallFailure("UNAVAILABLE", "The sidecar ended the batch stream")
_NOT_ADMITTED: Final = CallFailure("DEADLINE_EXCEEDED", "The sidecar did not open the batch stream")


class AsyncBatchStream:
    """One stream; used on the event loop that made it."""

    def __init__(
        self, rpc: Any, batch_bytes: int, note_end: Callable[[CallFailure, bool], None]
    ) -> None:
        """Open it; `note_end` is called with why it ended, and whether it was open before."""
        self._rpc = rpc
        self._note_end = note_end
        self._calls = Multiplexer(batch_bytes)
        self._wake = asyncio.Event()
        self.is_open = False
        """Whether the sidecar has admitted it, and it has not ended."""
        self.failure: CallFailure | None = None
        """Why it ended."""
        self.decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once it is open, or has ended before."""
        self._running = asyncio.create_task(self._run())

    def fits(self, payload: bytes) -> bool:
        """Whether such a request can be sent on it, and gains from it."""
        return self._calls.fits(payload)

    def call(
        self, method: Method, payload: bytes, waiting: Waiting, metadata: Metadata = ()
    ) -> Callable[[], None]:
        """Begin a call on the open stream; returns what cancels it."""
        id = self._calls.open(method, payload, waiting, metadata)
        self._wake.set()

        def cancel() -> None:
            self._calls.cancel(id)
            if self._calls.has_more_to_send:
                self._wake.set()

        return cancel

    def close(self) -> None:
        """End the stream, and all calls on it."""
        self._end(CLOSED)
        self._rpc.cancel()

    async def _run(self) -> None:
        failure, writing = CLOSED, None
        try:
            await self._admission()
            writing = asyncio.create_task(self._write())
            await self._read()
            failure = _ENDED
        except grpc.aio.AioRpcError as error:
            failure = CallFailure(error.code().name, error.details() or "")
        except TimeoutError:
            failure = _NOT_ADMITTED
        except codec.DecodeError as error:
            failure = CallFailure("INTERNAL", f"The sidecar sent what is no batch: {error}")
        finally:
            self._end(failure)
            self._rpc.cancel()
            if writing is not None:
                writing.cancel()

    async def _admission(self) -> None:
        async with asyncio.timeout(_OPENING_TIMEOUT):
            metadata = await self._rpc.initial_metadata()
        # A stream that is refused has none, and reading from it says why.
        if batch_stream.OFFER_KEY in dict(metadata):
            self.is_open = True
            self.decided.set_result(None)

    async def _read(self) -> None:
        while (raw := await self._rpc.read()) is not grpc.aio.EOF:
            self._calls.receive(raw)

    async def _write(self) -> None:
        calls, wake = self._calls, self._wake
        # When a write fails, the stream has ended, and reading from it says why.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                while not calls.has_more_to_send:
                    wake.clear()
                    await wake.wait()
                if batch := calls.next_batch():
                    await self._rpc.write(batch)

    def _end(self, failure: CallFailure) -> None:
        if self.failure is not None:
            return
        was_open, self.is_open = self.is_open, False
        self.failure = failure
        self._note_end(failure, was_open)
        if not self.decided.done():
            self.decided.set_result(None)
        self._calls.end(failure)


class ChannelBatches:
    """The batch stream of a channel whose engine offers one.

    The stream ends with this object, for a program need not close its clients.
    """

    def __init__(
        self, open_rpc: Callable[[], Any], batch_bytes: int, now: Callable[[], float], address: str
    ) -> None:
        self._open_rpc = open_rpc
        self._batch_bytes = min(batch_bytes, batch_stream.FULL_BATCH)
        self._now = now
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._openings = Openings()
        self._stream: AsyncBatchStream | None = None

    def open_stream(self) -> AsyncBatchStream | None:
        """The stream if it is open; otherwise begin to open it, unless that has just failed."""
        stream = self._stream
        if stream is not None and stream.is_open:
            return stream
        if self._openings.is_due(self._now()):
            self.any_stream()
        return None

    def any_stream(self) -> AsyncBatchStream | None:
        """The stream, open or being opened; None if the sidecar has refused it for good."""
        stream = self._stream
        if (stream is None or stream.failure is not None) and not self._openings.is_given_up:
            stream = self._stream = AsyncBatchStream(
                self._open_rpc(), self._batch_bytes, self._noted()
            )
        return None if self._openings.is_given_up else stream

    def _noted(self) -> Callable[[CallFailure, bool], None]:
        # Without a reference to self, which is to vanish while the stream is open.
        openings, now, address = self._openings, self._now, self._address

        def note(failure: CallFailure, was_open: bool) -> None:  # noqa: FBT001 - a callback
            if failure is not CLOSED and openings.failed(failure.status, now(), was_open=was_open):
                _log.debug(
                    "%s does not open a batch stream (%s: %s); calls are made one by one",
                    address,
                    failure.status,
                    failure.details,
                    extra={"address": address, "status": failure.status},
                )

        return note

    def close(self) -> None:
        """End the stream and all calls on it."""
        if self._stream is not None:
            self._stream.close()

    def __del__(self) -> None:
        # In a forked process the stream is the parent's.
        if self._stream is not None and self._process == os.getpid():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stream.close)
