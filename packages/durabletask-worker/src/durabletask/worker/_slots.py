"""Admit and run work items of one kind: at most a limit at work, and as many waiting.

A sidecar that respects the worker's limits never fills the queue. If one does not, the worker
stops reading the stream until there is room, so that work waits where it is durable.

Everything here runs in the worker's event loop; user code that needs a thread goes to
`_thread_pool`. A slot is freed when the completion is delivered, not when it is computed:
with an unreachable sidecar, completions must not pile up either.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ._thread_pool import ThreadPool
from ._work_items import Completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from ._options import Logger
    from ._work_items import WorkItem


class Job(Protocol):
    """A work item that is ready to be done."""

    @property
    def item(self) -> WorkItem: ...


J = TypeVar("J", bound=Job)


class WorkItemHandler(Protocol[J]):
    """How work items of one kind are done."""

    def prepare(self, item: WorkItem) -> J:
        """Make the job, in the event loop: decode and look up, without running user code."""
        ...

    def coroutine(self, job: J) -> Coroutine[Any, Any, Completion | J] | None:
        """The work, if it can be awaited in the event loop; None if it needs a thread."""
        ...

    def perform(self, job: J) -> Completion | Coroutine[Any, Any, Completion | J]:
        """Do the work on a thread; or return what remains to be awaited in the event loop.

        That gives the completion, or a job that needs a thread again.
        """
        ...

    def abandon(self, item: WorkItem) -> Completion:
        """The completion that hands the item back, for this worker or another to retry."""
        ...


@dataclass(frozen=True, slots=True)
class _Performed(Generic[J]):
    """The result from a thread, and the context variables as the work left them."""

    item: WorkItem
    result: Completion | Coroutine[Any, Any, Completion | J]
    context: contextvars.Context


class Slots(Generic[J]):
    """At most `limit` work items of one kind at work, and as many waiting."""

    def __init__(
        self,
        name: str,
        handler: WorkItemHandler[J],
        *,
        limit: int,
        threads: int,
        deliver: Callable[[Completion, Callable[[WorkItem], Completion]], Awaitable[None]],
        log: Logger,
    ) -> None:
        self._handler = handler
        self._limit = limit
        self._deliver = deliver
        self._log = log
        self._threads: ThreadPool[J, _Performed[J]] = ThreadPool(
            f"durabletask-{name}",
            count=min(threads, limit),
            perform=self._perform,
            collect=self._collect,
        )
        # Each item gets a copy: otherwise it would see the context variables of the user code
        # that ran before it on the same thread, or whose end admitted it.
        self._context = contextvars.copy_context()
        self._waiting: deque[WorkItem] = deque()
        self._at_work = 0
        self._is_admitting = True
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def owns(self, thread: threading.Thread) -> bool:
        """Whether work items are done on that thread."""
        return self._threads.owns(thread)

    async def put(self, items: Sequence[WorkItem]) -> None:
        """Take the items, waiting only while the queue is full."""
        for item in items:
            while len(self._waiting) >= self._limit:
                self._has_room.clear()
                await self._has_room.wait()
            if not self._is_admitting:
                return
            self._waiting.append(item)
            self._is_idle.clear()
            self._admit()

    def stop_admitting(self) -> None:
        """Drop what has not begun and what arrives later; the leases end with the stream."""
        self._is_admitting = False
        self._waiting.clear()
        self._release(len(self._threads.cancel_queued()))

    async def wait_idle(self) -> None:
        await self._is_idle.wait()

    def close(self) -> None:
        """Cancel what is still at work; what finishes all the same is not delivered."""
        self._is_closed = True
        self.stop_admitting()
        self._threads.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until the cancelled tasks have ended; user code may take its time."""
        # Not gather(): when this wait is cancelled, gather() still waits for the tasks.
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _admit(self) -> None:
        while self._waiting and self._at_work < self._limit:
            self._at_work += 1
            self._context.copy().run(self._begin, self._waiting.popleft())
        if len(self._waiting) < self._limit:
            self._has_room.set()

    def _begin(self, item: WorkItem) -> None:
        try:
            job = self._handler.prepare(item)
            coroutine = self._handler.coroutine(job)
            if coroutine is None:
                self._threads.submit(job)
            else:
                self._spawn(self._await(coroutine, item))
        # Whatever one work item raises, the others are still read.
        except BaseException:  # noqa: BLE001
            self._complete(self._abandoned(item))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await(self, coroutine: Coroutine[Any, Any, Completion | J], item: WorkItem) -> None:
        try:
            completion = await coroutine
            if not isinstance(completion, Completion):
                self._threads.submit(completion)
                return
        # asyncio would stop the loop for a SystemExit. A cancellation before `close` comes
        # from user code, and is a failure like any other.
        except BaseException:
            if self._is_closed:
                raise
            completion = self._abandoned(item)
        self._complete(completion)

    def _perform(self, job: J) -> _Performed[J]:
        context = self._context.copy()
        result: Completion | Coroutine[Any, Any, Completion | J]
        try:
            result = context.run(self._handler.perform, job)
        # Whatever it is, SystemExit included: this item is abandoned, the thread goes on.
        except BaseException:  # noqa: BLE001
            result = self._abandoned(job.item)
        return _Performed(job.item, result, context)

    def _collect(self, performed: list[_Performed[J]]) -> None:
        for each in performed:
            if isinstance(each.result, Completion):
                self._complete(each.result)
            elif not self._is_closed:
                each.context.run(self._spawn, self._await(each.result, each.item))

    def _abandoned(self, item: WorkItem) -> Completion:
        self._log.exception(
            "Instance '%s': a work item could not be processed and is handed back",
            item.instance_id,
            extra=item.log_fields,
        )
        return self._handler.abandon(item)

    def _complete(self, completion: Completion) -> None:
        # In a new task: user code may have left the one it ran in cancelled.
        if not self._is_closed:
            self._spawn(self._deliver_and_release(completion))

    async def _deliver_and_release(self, completion: Completion) -> None:
        try:
            await self._deliver(completion, self._handler.abandon)
        finally:
            self._release(1)
            if completion.on_finished is not None:
                completion.on_finished()

    def _release(self, count: int) -> None:
        self._at_work -= count
        self._admit()
        if not self._at_work and not self._waiting:
            self._is_idle.set()
