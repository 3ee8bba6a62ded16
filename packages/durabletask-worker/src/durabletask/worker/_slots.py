"""Admit and run work items of one kind: at most a limit at work, and others waiting.

A work item that is taken on a thread of the connection's goes to a thread of `_thread_pool`, and
the event loop sees it only if it has to be awaited. One that is taken in the event loop is
prepared there. Its completion is handed over by the thread that has it where the engine takes
calls in batches, and else delivered in the event loop.

A sidecar that respects the worker's limits never fills the queue. If one does not, the worker
stops reading the stream until there is room, so that work waits where it is durable. A slot is
freed when the completion is delivered, not when it is computed: with an unreachable sidecar,
completions must not pile up either.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from durabletask.protocol import codec
from durabletask.transport.loop_calls import LoopCalls

from ._log_errors import log_errors_ignored
from ._thread_pool import ThreadPool
from ._work_items import Completion, EncodedWorkItem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ._delivery import Answered
    from ._options import Logger
    from ._thread_pool import Watch
    from ._work_items import WorkItem


class Job(Protocol):
    """A work item that is ready to be done."""

    @property
    def item(self) -> WorkItem: ...


J = TypeVar("J", bound=Job)


class WorkItemHandler(Protocol[J]):
    """How work items of one kind are done."""

    def prepare(self, item: WorkItem) -> J:
        """Make the job, on any thread: decode and look up, without running user code."""
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


class Delivery(Protocol):
    """How completions get to the sidecar; see `CompletionDelivery`."""

    def send(self, completion: Completion, answered: Answered) -> bool: ...

    async def deliver(
        self,
        completion: Completion,
        abandon: Callable[[WorkItem], Completion],
        error: Exception | None = None,
    ) -> None: ...


class Slots(Generic[J]):
    """At most `limit` work items of one kind at work, and the others waiting."""

    def __init__(
        self,
        name: str,
        handler: WorkItemHandler[J],
        *,
        limit: int,
        threads: int,
        delivery: Delivery,
        log: Logger,
        watch: Watch | None = None,
    ) -> None:
        self._handler = handler
        self._limit = limit
        self._delivery = delivery
        self._log = log
        self._threads: ThreadPool[EncodedWorkItem | J] = ThreadPool(
            f"durabletask-{name}",
            count=min(threads, limit),
            perform=self._perform,
            watch=watch,
        )
        self._in_loop = LoopCalls()
        # Each item gets a copy: otherwise it would see the context variables of the user code
        # that ran before it on the same thread, or whose end admitted it.
        self._context = contextvars.copy_context()
        # Guards these, which change together, on any thread.
        self._lock = threading.Lock()
        self._waiting: deque[EncodedWorkItem] = deque()
        self._at_work = 0
        self._is_admitting = True
        # The completions whose `on_finished` is still to be called.
        self._unfinished: dict[int, Completion] = {}
        # Set in the event loop after each change of them.
        self._observers: list[asyncio.Event] = []
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def owns(self, thread: threading.Thread) -> bool:
        """Whether work items are done on that thread."""
        return self._threads.owns(thread)

    def take(self, items: Sequence[EncodedWorkItem]) -> None:
        """Take the items at once, on any thread; user code does not run on it."""
        self._begin(self._admit(items))

    async def put(self, item: EncodedWorkItem) -> None:
        """Take the item in the event loop, waiting only while the queue is full."""
        await self._wait_until(self._has_room)
        self.take([item])

    def stop_admitting(self) -> None:
        """Drop what has not begun and what arrives later; the leases end with the stream."""
        with self._lock:
            self._is_admitting = False
            self._waiting.clear()
        self._release(len(self._threads.cancel_queued()))

    async def wait_idle(self) -> None:
        await self._wait_until(self._is_idle)

    def close(self) -> None:
        """Cancel what is still at work, and give up the completions that are not delivered.

        Their `on_finished` is called before this returns. What ends later all the same is
        dropped without a call. In the event loop only.
        """
        with self._lock:
            self._is_closed = True
        self.stop_admitting()
        self._threads.close()
        for task in self._tasks:
            task.cancel()
        for completion in list(self._unfinished.values()):
            self._finish(completion)

    async def wait_closed(self) -> None:
        """Wait until the cancelled tasks have ended; user code may take its time."""
        # Not gather(): when this wait is cancelled, gather() still waits for the tasks.
        if self._tasks:
            await asyncio.wait(self._tasks)

    # What waits, and how many are at work.

    def _admit(
        self, items: Sequence[EncodedWorkItem] = (), *, ended: int = 0
    ) -> list[EncodedWorkItem]:
        """Add these items, take away those that ended; return the ones that may begin."""
        with self._lock:
            if self._is_admitting:
                self._waiting.extend(items)
            self._at_work -= ended
            count = min(self._limit - self._at_work, len(self._waiting))
            self._at_work += count
            return [self._waiting.popleft() for _ in range(count)]

    def _release(self, count: int = 1) -> None:
        self._begin(self._admit(ended=count))
        if self._observers:
            self._in_loop(self._notify_observers)

    def _has_room(self) -> bool:
        with self._lock:
            return len(self._waiting) < self._limit or not self._is_admitting

    def _is_idle(self) -> bool:
        with self._lock:
            return not self._at_work and not self._waiting

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        changed = asyncio.Event()
        self._observers.append(changed)
        try:
            while not holds():
                changed.clear()
                await changed.wait()
        finally:
            self._observers.remove(changed)

    def _notify_observers(self) -> None:
        for changed in self._observers:
            changed.set()

    # From the beginning of the work to its completion.

    def _begin(self, items: list[EncodedWorkItem]) -> None:
        if self._in_loop.is_current_thread():
            jobs = (self._prepare(item) for item in items)
            self._submit([job for job in jobs if job is not None])
        else:
            self._submit(items)

    def _prepare(self, encoded: EncodedWorkItem) -> J | None:
        """The job that needs a thread; what can be awaited is begun."""
        if (item := self._read(encoded)) is None:
            return None
        context = self._context.copy()
        try:
            job = context.run(self._handler.prepare, item)
            coroutine = context.run(self._handler.coroutine, job)
        # Whatever one work item raises, the others are still read.
        except BaseException as error:  # noqa: BLE001
            self._complete(self._abandoned(item, error))
            return None
        if coroutine is None:
            return job
        self._await_soon(context, coroutine, item)
        return None

    def _submit(self, work: Sequence[EncodedWorkItem | J]) -> None:
        if not work:
            return
        try:
            self._threads.submit(work)
        # There is no thread, and none can be started.
        except RuntimeError as error:
            for each in work:
                self._in_loop(self._hand_back, each, error)

    def _perform(self, work: EncodedWorkItem | J) -> None:
        if not isinstance(work, EncodedWorkItem):
            self._perform_in(self._context.copy(), work.item, self._handler.perform, work)
        elif (item := self._read(work)) is not None:
            self._perform_in(self._context.copy(), item, self._prepare_and_perform, item)

    def _perform_in(
        self,
        context: contextvars.Context,
        item: WorkItem,
        function: Callable[..., Completion | Coroutine[Any, Any, Completion | J]],
        work: WorkItem | J,
    ) -> None:
        try:
            result = context.run(function, work)
        # Whatever it is, SystemExit included: this item is abandoned, the thread goes on.
        except BaseException as error:  # noqa: BLE001
            result = self._abandoned(item, error)
        if isinstance(result, Completion):
            self._complete(result)
        else:
            self._in_loop(self._await_soon, context, result, item)

    def _prepare_and_perform(
        self, item: WorkItem
    ) -> Completion | Coroutine[Any, Any, Completion | J]:
        job = self._handler.prepare(item)
        return self._handler.coroutine(job) or self._handler.perform(job)

    def _read(self, encoded: EncodedWorkItem) -> WorkItem | None:
        try:
            return encoded.read()
        except codec.DecodeError as error:
            # It cannot be abandoned either: there is no completion token in it.
            self._log_error("A work item could not be decoded and was ignored: %s", error)
        # Not at once: among many of them one would begin the next, ever deeper.
        self._in_loop(self._release)
        return None

    def _hand_back(self, work: EncodedWorkItem | J, error: BaseException) -> None:
        item = self._read(work) if isinstance(work, EncodedWorkItem) else work.item
        if item is not None:
            self._complete(self._abandoned(item, error))

    def _await_soon(
        self,
        context: contextvars.Context,
        coroutine: Coroutine[Any, Any, Completion | J],
        item: WorkItem,
    ) -> None:
        if self._is_closed:
            coroutine.close()
        else:
            context.run(self._spawn, self._await(coroutine, item))

    async def _await(self, coroutine: Coroutine[Any, Any, Completion | J], item: WorkItem) -> None:
        try:
            completion = await coroutine
            if not isinstance(completion, Completion):
                self._threads.submit([completion])
                return
        # asyncio would stop the loop for a SystemExit. A cancellation before `close` comes
        # from user code, and is a failure like any other.
        except BaseException as error:
            if self._is_closed:
                raise
            completion = self._abandoned(item, error)
        self._complete(completion)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _abandoned(self, item: WorkItem, error: BaseException) -> Completion:
        self._log_error(
            "Instance '%s': a work item could not be processed and is handed back",
            item.instance_id,
            exc_info=error,
            extra=item.log_fields,
        )
        return self._handler.abandon(item)

    def _log_error(self, text: str, *args: object, **more: Any) -> None:
        with log_errors_ignored():
            self._log.error(text, *args, stacklevel=2, **more)

    # From the completion to the end of its delivery.

    def _complete(self, completion: Completion) -> None:
        with self._lock:
            if self._is_closed:
                return
            if completion.on_finished is not None:
                self._unfinished[id(completion)] = completion
        if completion.log_failure is not None:
            completion.log_failure()
        if not self._delivery.send(completion, partial(self._on_answered, completion)):
            self._in_loop(self._deliver_soon, completion)

    def _on_answered(
        self, completion: Completion, _response: object, error: Exception | None
    ) -> None:
        if error is not None:
            self._in_loop(self._deliver_soon, completion, error)
            return
        if completion.on_finished is not None:
            self._in_loop(self._finish, completion)
        self._release()

    def _deliver_soon(self, completion: Completion, error: Exception | None = None) -> None:
        # In a task: user code may have left the one it ran in cancelled.
        if not self._is_closed:
            self._spawn(self._deliver_and_release(completion, error))

    async def _deliver_and_release(self, completion: Completion, error: Exception | None) -> None:
        try:
            await self._delivery.deliver(completion, self._handler.abandon, error)
        finally:
            self._release()
            self._finish(completion)

    def _finish(self, completion: Completion) -> None:
        """Call `on_finished` once, in the event loop: at the end of the delivery or at `close`."""
        unfinished = self._unfinished.pop(id(completion), None)
        if unfinished is not None and unfinished.on_finished is not None:
            # User code, too.
            self._context.copy().run(unfinished.on_finished)
