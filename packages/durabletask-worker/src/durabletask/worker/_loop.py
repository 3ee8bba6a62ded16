"""Do what `_connection` says: dial, read the stream of work items, dial again.

The only place that awaits the stream. It never blocks and never ends by itself: each
error, whatever its kind, is logged and reported to the connection's table, which knows
one way from there.

Knows nothing about what is in a work item.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from durabletask.protocol import messages, methods

from ._clock import Clock, pause
from ._connection import Connection, Link, Seen
from ._silence import FellSilentError, Silence
from ._status import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from durabletask.grpc_options import GrpcWorkerResiliencyOptions
    from durabletask.transport import AsyncTransport, Metadata

    from ._peers import Peer

# A stream that stood so many seconds is no victim of the fault that cut the one before.
SETTLED_AFTER = 5.0
# Seconds between the questions to an engine that says nothing by itself whether it is there.
KEEP_ALIVE = 30.0


class WorkItemLoop:
    """Keeps a stream of work items open until it is drained.

    `receive` is given each message; it may wait when there is too much to do, and that
    time does not count as silence. `renew` replaces the transport after several failures, and
    at once where nothing is heard. `settle` tells who is at the other end, for which `request`
    is made and by whom the messages are. `announce` gives what goes with the request beside the
    message. `on_link` is told where the connection stands and the last error.
    """

    def __init__(
        self,
        address: str,
        *,
        transport: Callable[[], AsyncTransport],
        renew: Callable[[], Awaitable[None]],
        settle: Callable[[], Awaitable[Peer]],
        request: Callable[[Peer], messages.GetWorkItemsRequest],
        announce: Callable[[], Metadata],
        receive: Callable[[bytes, Peer], Awaitable[None]],
        on_link: Callable[[Link, Exception | None], None],
        resilience: GrpcWorkerResiliencyOptions,
        clock: Clock,
        draw: Callable[[], float],
        log: logging.Logger,
    ) -> None:
        self._address = address
        self._transport = transport
        self._renew = renew
        self._settle = settle
        self._request = request
        self._announce = announce
        self._receive = receive
        self._on_link = on_link
        self._resilience = resilience
        self._clock = clock
        self._draw = draw
        self._log = log
        self._connection = Connection()
        self._is_crowded_out = False
        self._silence = Silence(resilience.silent_disconnect_timeout_seconds, clock)

    async def run(self) -> None:
        """Keep the stream open; end when it is drained and lost, or when cancelled."""
        while self._connection.link is Link.OFFLINE:
            await self._wait_to_dial()
            if self._see(Seen.DIAL) is not Link.DIALING:
                return
            try:
                self._see(await self._dial_and_read())
            # There is no error after which a worker may stop listening.
            except Exception as error:  # noqa: BLE001
                self._see(self._loss(error), error)

    def drain(self) -> None:
        """Dial no more and take no more, but hold the stream until `run` is cancelled.

        A stream that ends gives its leases back. Held open, the work in flight can be
        answered before anyone else is sent it.
        """
        self._see(Seen.STOP)

    def break_off(self, why: str) -> None:
        """Give up the stream, if one is read, and dial again.

        Engines to which single work items cannot be handed back send them all again then.
        """
        self._silence.break_off(why)

    async def _wait_to_dial(self) -> None:
        resilience = self._resilience
        delay = self._connection.delay(
            jitter=self._draw(),
            base=resilience.reconnect_backoff_base_seconds,
            cap=resilience.reconnect_backoff_cap_seconds,
        )
        await pause(self._clock, delay)

    def _loss(self, error: Exception) -> Seen:
        is_dialing = self._connection.link is Link.DIALING
        is_late = status_of(error) == "DEADLINE_EXCEEDED"
        return Seen.UNHEARD if is_dialing and is_late else Seen.LOST

    def _is_channel_spent(self) -> bool:
        failures = self._connection.failures
        threshold = self._resilience.channel_recreate_failure_threshold
        is_due = failures > 0 and threshold > 0 and failures % threshold == 0
        return self._connection.is_channel_dead or is_due

    async def _dial_and_read(self) -> Seen:
        if self._is_channel_spent():
            await self._renew()
        transport = self._transport()
        await transport.unary(
            methods.HELLO, messages.Empty(), timeout=self._resilience.hello_timeout_seconds
        )
        peer = await self._settle()
        stream = transport.stream(
            methods.GET_WORK_ITEMS, self._request(peer), metadata=self._announce()
        )
        async with contextlib.aclosing(stream), self._kept_alive(transport, peer):
            self._see(Seen.READY)
            return await self._read(stream, peer)

    @contextlib.asynccontextmanager
    async def _kept_alive(self, transport: AsyncTransport, peer: Peer) -> AsyncIterator[None]:
        """Ask an engine that never pings whether it is there; an answer is no silence."""
        if peer.pings:
            yield
            return
        asking = asyncio.create_task(self._ask_repeatedly(transport))
        try:
            yield
        finally:
            asking.cancel()

    async def _ask_repeatedly(self, transport: AsyncTransport) -> None:
        limit = self._resilience.silent_disconnect_timeout_seconds
        # More than once in the silence that is allowed, so that one answer may be late.
        interval = min(KEEP_ALIVE, limit / 3) if limit else KEEP_ALIVE
        timeout = self._resilience.hello_timeout_seconds
        while True:
            await pause(self._clock, interval)
            try:
                await transport.unary(methods.HELLO, messages.Empty(), timeout=timeout)
            # Whoever does not answer falls silent, which is told then.
            except Exception as error:  # noqa: BLE001
                self._log.debug("The sidecar at %s did not say hello: %s", self._address, error)
            else:
                self._silence.heard()

    async def _read(self, stream: AsyncIterator[bytes], peer: Peer) -> Seen:
        opened_at = self._clock.time()
        heard_anything = False
        try:
            with self._silence.ends_this_task():
                async for raw in stream:
                    heard_anything = True
                    self._note_room()
                    await self._take(raw, peer)
        except FellSilentError:
            return Seen.SILENT
        finally:
            if heard_anything or self._clock.time() - opened_at >= SETTLED_AFTER:
                self._see(Seen.SETTLED)
        return Seen.GOODBYE

    def _note_room(self) -> None:
        """Tell that a sidecar that was full has admitted this worker."""
        if self._is_crowded_out:
            self._is_crowded_out = False
            self._log.info("The sidecar at %s has room for this worker now.", self._address)

    async def _take(self, raw: bytes, peer: Peer) -> None:
        if self._connection.link is not Link.STREAMING:
            return  # draining: the lease of this item ends with the stream
        with self._silence.interrupted():
            try:
                await self._receive(raw, peer)
            # A message that nobody can take costs itself, not the stream.
            except Exception:  # noqa: BLE001
                self._log.exception("A message of the work item stream was ignored.")

    def _see(self, seen: Seen, error: Exception | None = None) -> Link:
        before = self._connection
        self._connection = before.after(seen)
        if self._connection.link is not before.link:
            self._tell(seen, error)
            self._on_link(self._connection.link, error)
        return self._connection.link

    def _tell(self, seen: Seen, error: Exception | None) -> None:
        failures = self._connection.failures
        match seen:
            case Seen.READY:
                # A full sidecar refuses the stream only after it was asked for.
                level = logging.DEBUG if self._is_crowded_out else logging.INFO
                self._log.log(level, "Connected to the sidecar at %s.", self._address)
            case Seen.GOODBYE:
                self._log.info("The sidecar at %s ended the stream; dialing again.", self._address)
            case Seen.SILENT:
                self._log.info(
                    "Nothing heard from the sidecar at %s for %s s; dialing again.",
                    self._address,
                    self._resilience.silent_disconnect_timeout_seconds,
                )
            case Seen.LOST | Seen.UNHEARD:
                # The first failures are news; the thousandth is told ten times in all. That
                # a sidecar is full stays true for long, and is told once.
                was_crowded_out = self._is_crowded_out
                status = None if error is None else status_of(error)
                self._is_crowded_out = status == "RESOURCE_EXHAUSTED"
                is_news = failures & (failures - 1) == 0
                if self._is_crowded_out:
                    is_news = not was_crowded_out
                self._log.log(
                    logging.WARNING if is_news else logging.DEBUG,
                    "No connection to the sidecar at %s, attempt %d, trying again: %s",
                    self._address,
                    failures,
                    error,
                )
            case _:
                pass
