"""Everything that is alive between the start and the stop of a worker.

One host serves from one start to one stop, in the event loop it is made in. It connects the
parts of the worker, and closes them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.protocol import messages
from durabletask.transport.loop_calls import LoopCalls

from ._activities import ActivityHandler, ActivityJob
from ._delivery import CompletionDelivery
from ._entities import EntityHandler, EntityJob
from ._filters import to_message
from ._log_errors import log_errors_ignored
from ._orchestrations import OrchestrationHandler, OrchestrationJob
from ._sessions import SessionCache
from ._slots import J, Slots, WorkItemHandler
from ._stream import WorkItemStream
from ._thread_pool import StallWatch, ThreadPool
from ._timing import sleep
from ._transport import TransportHolder
from ._work_items import WorkItemQueue, WorkItemRouter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ._connection import ConnectionState
    from ._options import WorkerConfig
    from ._work_items import ConnectedEngine

# Turns are short and hold the interpreter lock, so that one thread does them all. More are for
# the orchestrators behind one that blocks.
ORCHESTRATOR_THREADS = 4
# What all cached orchestrations may take together, by the estimate of their sessions.
MAX_CACHED_BYTES = 256 * 1024 * 1024
# Seconds that the `finally` blocks of cancelled user code get at least.
CLEANUP_SECONDS = 1.0


class WorkerHost:
    """Does a worker's work until it is asked to stop.

    `on_state_change` is told the state of the connection, and the error that led to it.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        on_state_change: Callable[[ConnectionState, Exception | None], None],
    ) -> None:
        self._log = config.log
        self._clock = config.clock
        self._event_loop = asyncio.get_running_loop()
        self._thread = threading.current_thread()
        self._stop_requested = asyncio.Event()
        # A worker that was not asked to stop, but is cancelled, gets no grace.
        self._grace: float | None = 0.0
        self._stop_requested_at = 0.0
        self._transport = TransportHolder(config.connect, config.settings)
        self._sessions = SessionCache(
            limit=config.max_cached_orchestrations, max_bytes=MAX_CACHED_BYTES
        )
        delivery = CompletionDelivery(
            self._transport.current,
            clock=config.clock,
            draw=config.draw,
            abort_stream=self._abort_stream,
            log=config.log,
            batched_calls=self._transport.batched_calls,
        )
        self._watch = StallWatch()
        slots = _SlotsFactory(config, delivery, self._watch)
        orchestrations = slots.orchestrations(self._sessions, self._transport.fetch_history)
        activities = slots.activities()
        entities = slots.entities()
        self._slots = (orchestrations, activities, entities)
        queues: dict[str, WorkItemQueue] = {
            "orchestrator_request": orchestrations,
            "activity_request": activities,
            "entity_request": entities,
            "entity_request_v2": entities,
        }
        router = WorkItemRouter(queues, config.log)
        self._stream = WorkItemStream(
            config.address,
            transport=self._transport.current,
            close_transport=self._transport.close,
            identify_engine=self._transport.identify_engine,
            request=lambda engine: _work_item_request(config, engine),
            metadata=config.metadata,
            receive=router.route,
            receive_batch=router.route_batch,
            on_state_change=on_state_change,
            resilience=config.resilience,
            clock=config.clock,
            draw=config.draw,
            log=config.log,
        )

    async def run(self) -> None:
        """Serve until asked to stop, then drain; when cancelled, give up the work in flight."""
        reading = asyncio.create_task(self._stream.run())
        stop_requested = asyncio.create_task(self._stop_requested.wait())
        try:
            await asyncio.wait({reading, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            await self._drain()
        finally:
            # Before anything is awaited: a loop that closes cancels the activities along with
            # this task, and they would complete as cancelled.
            for slots in self._slots:
                slots.close()
            self._watch.close()
            await _cancel(reading, stop_requested)
            await self._close()

    def request_stop(self, grace: float | None) -> None:
        """Begin to stop, from any thread. None waits for the work in flight without limit."""

        def stop() -> None:
            self._grace = grace
            self._stop_requested_at = self._clock.time()
            self._stop_requested.set()

        # A loop that is closed has stopped already.
        with contextlib.suppress(RuntimeError):
            self._event_loop.call_soon_threadsafe(stop)

    def needs_thread(self, thread: threading.Thread) -> bool:
        """Whether the host needs that thread, which therefore cannot wait for the host."""
        return thread is self._thread or any(slots.owns(thread) for slots in self._slots)

    def _abort_stream(self, reason: str) -> None:
        self._stream.abort(reason)

    async def _drain(self) -> None:
        self._stream.drain()
        for slots in self._slots:
            slots.stop_admitting()
        if not await self._ends_within(self._remaining_grace(), self._wait_idle()):
            self._log.warning(
                "The worker stops after %s s with work in flight; it will be done again",
                self._grace,
            )

    async def _wait_idle(self) -> None:
        for slots in self._slots:
            await slots.wait_idle()

    async def _close(self) -> None:
        # First of all, so that other workers get the work at once, whatever user code does.
        await self._close_transport()
        remaining = self._remaining_grace()
        timeout = None if remaining is None else max(CLEANUP_SECONDS, remaining)
        if not await self._ends_within(timeout, self._wait_closed(self._close_sessions())):
            self._log.warning(
                "User code is still running although the worker has stopped. It is left alone, "
                "and its results are dropped."
            )

    async def _close_transport(self) -> None:
        try:
            await self._transport.close()
        # The worker stops all the same.
        except Exception:  # noqa: BLE001
            with log_errors_ignored():
                self._log.debug("The connection could not be closed properly", exc_info=True)

    async def _wait_closed(self, sessions_closed: asyncio.Event) -> None:
        for slots in self._slots:
            await slots.wait_closed()
        await sessions_closed.wait()

    def _close_sessions(self) -> asyncio.Event:
        """Begin to close the cached orchestrations; the event is set when that is done."""
        self._sessions.evict_all()
        closed = asyncio.Event()
        # Closing runs user code, which must not find an event loop.
        in_loop = LoopCalls()

        def close(sessions: SessionCache) -> None:
            sessions.close_evicted()
            in_loop(closed.set)

        threads = ThreadPool("durabletask-close", count=1, perform=close)
        try:
            threads.submit([self._sessions])
        # No thread can be started while the interpreter exits, and none is needed: the
        # orchestrations end with the process.
        except RuntimeError:
            closed.set()
        threads.close()
        return closed

    def _remaining_grace(self) -> float | None:
        if self._grace is None:
            return None
        return max(0.0, self._stop_requested_at + self._grace - self._clock.time())

    async def _ends_within(self, seconds: float | None, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work ends within that many seconds; if not, it is cancelled."""
        working = asyncio.create_task(work)
        waits = {working}
        if seconds is not None:
            waits.add(asyncio.create_task(sleep(self._clock, seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return working.done()
        finally:
            await _cancel(*waits)


@dataclass(frozen=True, slots=True)
class _SlotsFactory:
    """Makes the slots for each kind of work."""

    config: WorkerConfig
    delivery: CompletionDelivery
    watch: StallWatch

    def orchestrations(
        self,
        sessions: SessionCache,
        fetch_history: Callable[[str], Awaitable[list[messages.HistoryEvent]]],
    ) -> Slots[OrchestrationJob]:
        config = self.config
        handler = OrchestrationHandler(
            config.registry,
            sessions,
            config.log,
            fetch_history=fetch_history,
            versioning=config.versioning,
        )
        limit = config.concurrency.maximum_concurrent_orchestration_work_items
        return self._slots("orchestrations", handler, limit, ORCHESTRATOR_THREADS)

    def activities(self) -> Slots[ActivityJob]:
        config = self.config
        handler = ActivityHandler(
            config.registry,
            on_started=config.on_activity_started,
            on_completed=config.on_activity_completed,
            log=config.log,
        )
        limits = config.concurrency
        return self._slots(
            "activities",
            handler,
            limits.maximum_concurrent_activity_work_items,
            limits.maximum_thread_pool_workers,
        )

    def entities(self) -> Slots[EntityJob]:
        limits = self.config.concurrency
        return self._slots(
            "entities",
            EntityHandler(self.config.registry, now=self.config.now, log=self.config.log),
            limits.maximum_concurrent_entity_work_items,
            limits.maximum_thread_pool_workers,
        )

    def _slots(self, name: str, handler: WorkItemHandler[J], limit: int, threads: int) -> Slots[J]:
        return Slots(
            name,
            handler,
            limit=limit,
            threads=threads,
            delivery=self.delivery,
            log=self.config.log,
            watch=self.watch,
        )


def _work_item_request(
    config: WorkerConfig, engine: ConnectedEngine
) -> messages.GetWorkItemsRequest:
    limits, filters = config.concurrency, config.filters
    capabilities = [messages.WorkerCapability(each) for each in config.capabilities]
    if engine.omits_cached_history and config.max_cached_orchestrations:
        capabilities.append(messages.WorkerCapability.STATEFUL_HISTORY)
    if filters is not None and not engine.supports_filters:
        config.log.warning(
            "%s has no work item filters: this worker will be sent work of any name", engine.name
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
