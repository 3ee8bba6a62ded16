"""One batch stream over gRPC, driven by an event loop.

Whatever is ready is written as soon as the write before it is done. `multiplexer.py` knows who
waits for what.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc.aio

from durabletask.protocol import batch_stream, codec
from durabletask.transport.channel_batches import (
    CLOSED,
    ENDED,
    NOT_ADMITTED,
    OPENING_TIMEOUT,
    failure_of_bug,
    failure_of_stream,
)
from durabletask.transport.multiplexer import CallFailure, Multiplexer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata
    from durabletask.transport.channel_batches import NoteEnd
    from durabletask.transport.multiplexer import Waiting

# Seconds in which gRPC reports the end of a stream; once its loop is closed, another loop of the
# process would be told, and log an error.
_LAST_EVENTS: Final = 0.02


class AsyncBatchStream:
    """One stream; used on the event loop that made it."""

    def __init__(
        self,
        open_rpc: Callable[[], Any],
        batch_bytes: int,
        note_end: NoteEnd,
        *,
        opening_timeout: float = OPENING_TIMEOUT,
    ) -> None:
        """Open it; `note_end` is called with why it ended, and whether it was open before.

        It ends by itself if the sidecar does not admit it within `opening_timeout` seconds.
        """
        self._opening_timeout = opening_timeout
        self._rpc = open_rpc()
        self._note_end = note_end
        self._calls = Multiplexer(batch_bytes)
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.is_open = False
        self.failure: CallFailure | None = None
        self.decided: asyncio.Future[None] = self._loop.create_future()
        """Done once it is open, or has ended before."""
        self._running = asyncio.create_task(self._run())

    def fits(self, method: Method, payload: bytes, metadata: Metadata) -> bool:
        """Whether such a call can be sent on it, and gains from it."""
        return self._calls.fits(method, payload, metadata)

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

    def close_from_anywhere(self) -> None:
        """The same, on any thread, and after the loop was closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.close)

    async def _run(self) -> None:
        failure, writing = ENDED, None
        try:
            if await self._admission():
                writing = asyncio.create_task(self._write())
                await self._read()
        except grpc.aio.AioRpcError as error:
            failure = failure_of_stream(error)
        except TimeoutError:
            failure = NOT_ADMITTED
        except asyncio.CancelledError:
            # The loop is about to be closed, or the call was ended here.
            failure = CLOSED
            self._rpc.cancel()
            await asyncio.sleep(_LAST_EVENTS)
            raise
        except codec.DecodeError as error:
            failure = CallFailure("INTERNAL", f"The sidecar sent what is no batch: {error}")
        except Exception as error:  # noqa: BLE001 - it is logged, and the calls are told
            failure = failure_of_bug(error)
        finally:
            self._end(failure)
            self._rpc.cancel()
            if writing is not None:
                writing.cancel()

    async def _admission(self) -> bool:
        async with asyncio.timeout(self._opening_timeout):
            metadata = await self._rpc.initial_metadata()
            if batch_stream.OFFER_KEY not in dict(metadata):
                # A stream that is refused has none, and reading from it says why.
                if await self._rpc.read() is not grpc.aio.EOF:
                    raise TimeoutError  # Whoever this is does not take batches.
                return False
        if self.failure is None:
            self.is_open = True
            self.decided.set_result(None)
        return True

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
