"""Keep the stream of work items open: connect, read, reconnect, as `_connection` decides.

The only place that awaits the stream. It never blocks, and it ends only when it is drained
or cancelled: each error, whatever its kind, is logged and reported to the connection, which
leads to the next attempt. Messages that come in batches are handed on without the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from durabletask.protocol import messages, methods
from durabletask.transport.batched_calls import batched_calls_of

from ._batched_stream import BatchedStream
from ._connection import Connection, ConnectionEvent, ConnectionState
from ._log_errors import log_errors_ignored
from ._timing import Clock, IdleWatchdog, StreamIdleError, sleep
from ._transport import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from durabletask.grpc_options import GrpcWorkerResiliencyOptions
    from durabletask.transport import AsyncByteStream, AsyncTransport, Metadata

    from ._options import Logger
    from ._work_items import ConnectedEngine

# Seconds a stream stays open until earlier failures no longer count against it.
STABLE_AFTER = 5.0
# Seconds between the calls that test whether an engine without pings is still there.
KEEP_ALIVE = 30.0


class WorkItemStream:
    """Keeps a stream of work items open until it is drained.

    `receive` is given each message; it may wait when there is too much to do, and that
    time does not count as idle. `receive_batch` is given those that come in batches, on a
    thread of the connection's, and returns the ones that `receive` must see. `transport`
    gives the current transport; `close_transport` closes it, so that the next one is new:
    after several failures, and at once when the channel went silent. `identify_engine` finds
    out which engine sends the messages; `request` makes the request for work for it, and
    `metadata` what is sent beside that. `on_state_change` is told the state of the
    connection and the last error.
    """

    def __init__(
        self,
        address: str,
        *,
        transport: Callable[[], AsyncTransport],
        close_transport: Callable[[], Awaitable[None]],
        identify_engine: Callable[[], Awaitable[ConnectedEngine]],
        request: Callable[[ConnectedEngine], messages.GetWorkItemsRequest],
        metadata: Callable[[], Metadata],
        receive: Callable[[bytes, ConnectedEngine], Awaitable[None]],
        receive_batch: Callable[[Sequence[bytes], ConnectedEngine], Sequence[bytes]],
        on_state_change: Callable[[ConnectionState, Exception | None], None],
        resilience: GrpcWorkerResiliencyOptions,
        clock: Clock,
        draw: Callable[[], float],
        log: Logger,
    ) -> None:
        self._address = address
        self._transport = transport
        self._close_transport = close_transport
        self._identify_engine = identify_engine
        self._request = request
        self._metadata = metadata
        self._receive = receive
        self._receive_batch = receive_batch
        self._on_state_change = on_state_change
        self._resilience = resilience
        self._clock = clock
        self._draw = draw
        self._log = log
        self._connection = Connection()
        self._is_sidecar_full = False
        self._watchdog = IdleWatchdog(resilience.silent_disconnect_timeout_seconds, clock)

    async def run(self) -> None:
        """Keep the stream open; end when it is drained and lost, or when cancelled."""
        while self._connection.state is ConnectionState.DISCONNECTED:
            await self._wait_to_connect()
            if self._report(ConnectionEvent.CONNECT) is not ConnectionState.CONNECTING:
                return
            try:
                self._report(await self._connect_and_read())
            # There is no error after which a worker may stop listening.
            except Exception as error:  # noqa: BLE001
                self._report(self._failure(error), error)

    def drain(self) -> None:
        """Connect no more and take no more work, but hold the stream until `run` is cancelled.

        When a stream ends, its leases end. While it is held open, the work in flight can be
        completed before anyone else is sent it.
        """
        self._report(ConnectionEvent.STOP)

    def abort(self, reason: str) -> None:
        """End the stream that is read, if there is one, and connect again.

        Engines to which a single work item cannot be handed back then send all of them again.
        """
        self._watchdog.abort(reason)

    async def _wait_to_connect(self) -> None:
        resilience = self._resilience
        delay = self._connection.delay(
            jitter=self._draw(),
            base=resilience.reconnect_backoff_base_seconds,
            cap=resilience.reconnect_backoff_cap_seconds,
        )
        await sleep(self._clock, delay)

    def _failure(self, error: Exception) -> ConnectionEvent:
        is_connecting = self._connection.state is ConnectionState.CONNECTING
        is_late = status_of(error) == "DEADLINE_EXCEEDED"
        if is_connecting and is_late:
            return ConnectionEvent.HELLO_TIMED_OUT
        return ConnectionEvent.FAILED

    def _needs_new_channel(self) -> bool:
        failures = self._connection.failures
        threshold = self._resilience.channel_recreate_failure_threshold
        is_due = failures > 0 and threshold > 0 and failures % threshold == 0
        return self._connection.is_channel_dead or is_due

    async def _connect_and_read(self) -> ConnectionEvent:
        if self._needs_new_channel():
            await self._close_transport()
        transport = self._transport()
        await transport.unary(
            methods.HELLO, messages.Empty(), timeout=self._resilience.hello_timeout_seconds
        )
        engine = await self._identify_engine()
        stream = self._open(transport, engine)
        async with contextlib.aclosing(stream), self._kept_alive(transport, engine):
            self._report(ConnectionEvent.STREAM_OPENED)
            return await self._read(stream, engine)

    def _open(self, transport: AsyncTransport, engine: ConnectedEngine) -> AsyncByteStream:
        request, metadata = self._request(engine), self._metadata()
        calls = batched_calls_of(transport)
        if calls is None:
            return transport.stream(methods.GET_WORK_ITEMS, request, metadata=metadata)
        return BatchedStream(calls, request, metadata, partial(self._hand_on, engine))

    def _hand_on(self, engine: ConnectedEngine, messages: Sequence[bytes]) -> Sequence[bytes]:
        """Hand on a batch, on a thread of the connection's; what the event loop must see."""
        self._watchdog.reset()
        if self._connection.state is ConnectionState.DRAINING:
            return ()
        return self._receive_batch(messages, engine)

    @contextlib.asynccontextmanager
    async def _kept_alive(
        self, transport: AsyncTransport, engine: ConnectedEngine
    ) -> AsyncIterator[None]:
        """Call an engine that sends no pings; while it answers, the stream is not idle."""
        if engine.sends_pings:
            yield
            return
        calling = asyncio.create_task(self._call_repeatedly(transport))
        try:
            yield
        finally:
            calling.cancel()

    async def _call_repeatedly(self, transport: AsyncTransport) -> None:
        limit = self._resilience.silent_disconnect_timeout_seconds
        # Several calls within the limit, so that one answer may be late.
        interval = min(KEEP_ALIVE, limit / 3) if limit else KEEP_ALIVE
        timeout = self._resilience.hello_timeout_seconds
        while True:
            await sleep(self._clock, interval)
            try:
                await transport.unary(methods.HELLO, messages.Empty(), timeout=timeout)
            # If no call is answered, the watchdog ends the stream.
            except Exception as error:  # noqa: BLE001
                with log_errors_ignored():
                    self._log.debug(
                        "The sidecar at %s did not answer Hello: %s",
                        self._address,
                        error,
                        extra=self._log_fields,
                    )
            else:
                self._watchdog.reset()

    async def _read(self, stream: AsyncIterator[bytes], engine: ConnectedEngine) -> ConnectionEvent:
        opened_at = self._clock.time()
        has_received = False
        try:
            with self._watchdog.watch():
                async for raw in stream:
                    has_received = True
                    self._note_admission()
                    await self._take(raw, engine)
        except StreamIdleError:
            return ConnectionEvent.STREAM_IDLE
        finally:
            if has_received or self._clock.time() - opened_at >= STABLE_AFTER:
                self._report(ConnectionEvent.STREAM_STABLE)
        return ConnectionEvent.STREAM_ENDED

    def _note_admission(self) -> None:
        """Log that a sidecar that was full has admitted this worker."""
        if self._is_sidecar_full:
            self._is_sidecar_full = False
            self._log.info(
                "The sidecar at %s has room for this worker now",
                self._address,
                extra=self._log_fields,
            )

    async def _take(self, raw: bytes, engine: ConnectedEngine) -> None:
        if self._connection.state is not ConnectionState.STREAMING:
            return  # draining: the lease of this item ends with the stream
        with self._watchdog.paused():
            try:
                await self._receive(raw, engine)
            # A message that cannot be handled must not end the stream.
            except Exception:  # noqa: BLE001
                with log_errors_ignored():
                    self._log.exception(
                        "A message of the work item stream could not be handled and was ignored",
                        extra=self._log_fields,
                    )

    def _report(self, event: ConnectionEvent, error: Exception | None = None) -> ConnectionState:
        before = self._connection
        self._connection = before.after(event)
        if self._connection.state is not before.state:
            # Before the worker connects again, which it must do in any case.
            with log_errors_ignored():
                self._log_event(event, error)
            self._on_state_change(self._connection.state, error)
        return self._connection.state

    def _log_event(self, event: ConnectionEvent, error: Exception | None) -> None:
        match event:
            case ConnectionEvent.STREAM_OPENED:
                # A full sidecar refuses the stream only after it was opened.
                level = logging.DEBUG if self._is_sidecar_full else logging.INFO
                self._log.log(
                    level,
                    "Worker connected to the sidecar at %s",
                    self._address,
                    extra=self._log_fields,
                )
            case ConnectionEvent.STREAM_ENDED:
                self._log.info(
                    "The sidecar at %s ended the work item stream; the worker reconnects",
                    self._address,
                    extra=self._log_fields,
                )
            case ConnectionEvent.STREAM_IDLE:
                self._log.info(
                    "The sidecar at %s has sent nothing for %s s; the worker reconnects",
                    self._address,
                    self._resilience.silent_disconnect_timeout_seconds,
                    extra=self._log_fields,
                )
            case ConnectionEvent.FAILED | ConnectionEvent.HELLO_TIMED_OUT:
                self._log_failure(error)
            case _:
                pass

    def _log_failure(self, error: Exception | None) -> None:
        failures = self._connection.failures
        # The 1st, 2nd, 4th, 8th, ... failure is a warning: a sidecar that is away for hours
        # must not fill the log. That it is full stays true for long, and is said once.
        was_full = self._is_sidecar_full
        status = None if error is None else status_of(error)
        self._is_sidecar_full = status == "RESOURCE_EXHAUSTED"
        is_news = not was_full if self._is_sidecar_full else failures & (failures - 1) == 0
        self._log.log(
            logging.WARNING if is_news else logging.DEBUG,
            "Attempt %d to connect to the sidecar at %s failed; the worker tries again: %s",
            failures,
            self._address,
            error,
            extra=self._log_fields | {"attempt": failures, "status": status},
        )

    @property
    def _log_fields(self) -> dict[str, object]:
        return {"address": self._address}
