"""Everything that is alive between the start and the stop of a worker.

One host serves one run, in the event loop it is made in. It wires the parts together
and takes them down in order; what each of them does is written in its own file.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.protocol import messages

from ._activities import Activities, Call, Hook
from ._clock import Clock, pause
from ._delivery import Delivery
from ._entities import Batch, Entities
from ._filters import to_message
from ._intake import Intake, Lane
from ._line import Line
from ._loop import WorkItemLoop
from ._orchestrations import Orchestrations, Turn
from ._sessions import Sessions
from ._slots import Slots
from ._threads import Threads

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import datetime

    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.core.versioning import VersioningOptions
    from durabletask.grpc_options import GrpcWorkerResiliencyOptions
    from durabletask.transport import AsyncTransport, Metadata

    from ._connection import Link
    from ._filters import WorkItemFilters
    from ._options import ConcurrencyOptions
    from ._peers import Peer

# Turns are short and hold the interpreter lock, so that more threads gain nothing. More
# than one, because an orchestrator that blocks should not stop all the others.
TURN_THREADS = 4
# What kept machines may weigh together: the bytes they were fed and a guess for the rest.
SESSIONS_WEIGHT = 256 * 1024 * 1024
# Seconds that the `finally` blocks of user code get at least when the worker gives it up.
LAST_WORDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker was told by the time it starts."""

    address: str
    connect: Callable[[], AsyncTransport]
    announce: Callable[[], Metadata]
    registry: Registry
    settings: Settings
    versioning: VersioningOptions | None
    filters: WorkItemFilters | None
    capabilities: tuple[int, ...]
    concurrency: ConcurrencyOptions
    resilience: GrpcWorkerResiliencyOptions
    max_cached_orchestrations: int
    activity_started: Hook
    activity_completed: Hook
    log: logging.Logger
    clock: Clock
    now: Callable[[], datetime]
    draw: Callable[[], float]


class Host:
    """Does a worker's work until it is asked to stop.

    `on_link` is told where the connection stands, and the error that brought it there.
    """

    def __init__(self, setup: Setup, *, on_link: Callable[[Link, Exception | None], None]) -> None:
        self._log = setup.log
        self._clock = setup.clock
        self._event_loop = asyncio.get_running_loop()
        self._thread = threading.current_thread()
        self._stop_asked = asyncio.Event()
        # A worker that was not asked to stop but is cancelled gives up at once.
        self._grace: float | None = 0.0
        self._asked_at = 0.0
        self._line = Line(setup.connect, setup.settings)
        self._sessions = Sessions(
            limit=setup.max_cached_orchestrations, weight_limit=SESSIONS_WEIGHT
        )
        delivery = Delivery(
            self._line.transport,
            clock=setup.clock,
            draw=setup.draw,
            break_off=self._break_off,
            log=setup.log,
        )
        turns = _turn_slots(setup, delivery, self._sessions, self._line.history)
        calls = _call_slots(setup, delivery)
        batches = _batch_slots(setup, delivery)
        self._slots = (turns, calls, batches)
        lanes: dict[str, Lane] = {
            "orchestrator_request": turns,
            "activity_request": calls,
            "entity_request": batches,
            "entity_request_v2": batches,
        }
        intake = Intake(lanes, setup.log)
        self._loop = WorkItemLoop(
            setup.address,
            transport=self._line.transport,
            renew=self._line.renew,
            settle=self._line.settle,
            request=lambda peer: _work_item_request(setup, peer),
            announce=setup.announce,
            receive=intake.receive,
            on_link=on_link,
            resilience=setup.resilience,
            clock=setup.clock,
            draw=setup.draw,
            log=setup.log,
        )

    async def run(self) -> None:
        """Serve until asked to stop, then drain; when cancelled, give up at once."""
        reading = asyncio.create_task(self._loop.run())
        asked = asyncio.create_task(self._stop_asked.wait())
        try:
            await asyncio.wait({reading, asked}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            await self._drain()
        finally:
            # Before anything is awaited: a loop that closes cancels the activities along with
            # this task, and they would answer that they were cancelled.
            for slots in self._slots:
                slots.close()
            await _cancel(reading, asked)
            await self._close()

    def ask_to_stop(self, grace: float | None) -> None:
        """Begin to stop, from any thread. None waits for the work in flight without limit."""

        def ask() -> None:
            self._grace = grace
            self._asked_at = self._clock.time()
            self._stop_asked.set()

        # A loop that is closed has stopped already.
        with contextlib.suppress(RuntimeError):
            self._event_loop.call_soon_threadsafe(ask)

    def is_served_by(self, thread: threading.Thread) -> bool:
        """Whether the host needs that thread, which therefore cannot wait for the host."""
        return thread is self._thread or any(slots.owns(thread) for slots in self._slots)

    def _break_off(self, why: str) -> None:
        self._loop.break_off(why)

    async def _drain(self) -> None:
        self._loop.drain()
        for slots in self._slots:
            slots.begin_no_more()
        if not await self._ends_within(self._rest_of_grace(), self._wait_idle()):
            self._log.warning(
                "Stopping after %s s with work in flight; it will be done again.", self._grace
            )

    async def _wait_idle(self) -> None:
        for slots in self._slots:
            await slots.wait_idle()

    async def _close(self) -> None:
        # First of all, so that others get the work at once, whatever user code does here.
        await self._close_line()
        rest = self._rest_of_grace()
        patience = None if rest is None else max(LAST_WORDS, rest)
        if not await self._ends_within(patience, self._wait_closed(self._close_sessions())):
            self._log.warning(
                "User code still runs after the worker has stopped. It is left alone, and "
                "nothing comes of it."
            )

    async def _close_line(self) -> None:
        try:
            await self._line.renew()
        # A channel that cannot be closed in good order is gone as well.
        except Exception:  # noqa: BLE001
            self._log.debug("The connection did not close in good order.", exc_info=True)

    async def _wait_closed(self, sessions_closed: asyncio.Event) -> None:
        for slots in self._slots:
            await slots.wait_closed()
        await sessions_closed.wait()

    def _close_sessions(self) -> asyncio.Event:
        """Begin to close what is kept; what is returned is set when that is done."""
        self._sessions.condemn_all()
        closed = asyncio.Event()
        # Closing runs user code, which must not find an event loop.
        threads: Threads[Sessions, None] = Threads(
            "durabletask-close",
            count=1,
            perform=Sessions.close_condemned,
            collect=lambda _: closed.set(),
        )
        try:
            threads.submit(self._sessions)
        # No thread begins in an interpreter that exits, and then none has to: the machines
        # go with the process.
        except RuntimeError:
            closed.set()
        threads.close()
        return closed

    def _rest_of_grace(self) -> float | None:
        if self._grace is None:
            return None
        return max(0.0, self._asked_at + self._grace - self._clock.time())

    async def _ends_within(self, seconds: float | None, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work ends within so many seconds; else it is cancelled."""
        working = asyncio.create_task(work)
        waits = {working}
        if seconds is not None:
            waits.add(asyncio.create_task(pause(self._clock, seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return working.done()
        finally:
            await _cancel(*waits)


def _turn_slots(
    setup: Setup,
    delivery: Delivery,
    sessions: Sessions,
    fetch: Callable[[str], Awaitable[list[messages.HistoryEvent]]],
) -> Slots[Turn]:
    return Slots(
        "orchestrations",
        Orchestrations(
            setup.registry, sessions, setup.log, fetch=fetch, versioning=setup.versioning
        ),
        limit=setup.concurrency.maximum_concurrent_orchestration_work_items,
        threads=TURN_THREADS,
        deliver=delivery.deliver,
        log=setup.log,
    )


def _call_slots(setup: Setup, delivery: Delivery) -> Slots[Call]:
    return Slots(
        "activities",
        Activities(
            setup.registry,
            started=setup.activity_started,
            completed=setup.activity_completed,
            log=setup.log,
        ),
        limit=setup.concurrency.maximum_concurrent_activity_work_items,
        threads=setup.concurrency.maximum_thread_pool_workers,
        deliver=delivery.deliver,
        log=setup.log,
    )


def _batch_slots(setup: Setup, delivery: Delivery) -> Slots[Batch]:
    return Slots(
        "entities",
        Entities(setup.registry, now=setup.now),
        limit=setup.concurrency.maximum_concurrent_entity_work_items,
        threads=setup.concurrency.maximum_thread_pool_workers,
        deliver=delivery.deliver,
        log=setup.log,
    )


def _work_item_request(setup: Setup, peer: Peer) -> messages.GetWorkItemsRequest:
    limits, filters = setup.concurrency, setup.filters
    capabilities = [messages.WorkerCapability(each) for each in setup.capabilities]
    if peer.sends_deltas and setup.max_cached_orchestrations:
        capabilities.append(messages.WorkerCapability.STATEFUL_HISTORY)
    if filters is not None and not peer.filters:
        setup.log.warning(
            "%s has no work item filters: this worker will be sent work of every name.", peer.name
        )
    return messages.GetWorkItemsRequest(
        max_concurrent_orchestration_work_items=limits.maximum_concurrent_orchestration_work_items,
        max_concurrent_activity_work_items=limits.maximum_concurrent_activity_work_items,
        max_concurrent_entity_work_items=limits.maximum_concurrent_entity_work_items,
        capabilities=capabilities,
        work_item_filters=to_message(filters) if filters is not None else None,
    )


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
