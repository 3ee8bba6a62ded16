"""Admit work items of one kind: so many at work, so many waiting, no more.

A sidecar that was told the worker's limits never fills the waiting room. One that
ignores them meets a worker that reads no further until there is room, so that work
piles up where it is durable.

Everything here runs on the worker's loop; user code that needs a thread goes to
`_threads`. A slot is freed when the answer is delivered, not when it is computed: with
an unreachable sidecar, answers must not pile up either.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ._threads import Threads
from ._work import Answer

if TYPE_CHECKING:
    import logging
    import threading
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from ._work import WorkItem


class Job(Protocol):
    """A work item made ready to be done."""

    @property
    def item(self) -> WorkItem: ...


J = TypeVar("J", bound=Job)


class Handler(Protocol[J]):
    """How the work items of one kind are done."""

    def prepare(self, item: WorkItem) -> J:
        """Make ready, on the loop: decode and look up, nothing of the user's."""
        ...

    def coroutine(self, job: J) -> Coroutine[Any, Any, Answer | J] | None:
        """The work, if it can be awaited on the loop; None if it needs a thread."""
        ...

    def perform(self, job: J) -> Answer | Coroutine[Any, Any, Answer | J]:
        """The work, on a thread; or what is left of it to be awaited on the loop.

        If that does not give an answer it gives what is left of it for a thread again.
        """
        ...

    def abandon(self, item: WorkItem) -> Answer:
        """Hand the item back, for this worker or another to try again."""
        ...


@dataclass(frozen=True, slots=True)
class _Performed(Generic[J]):
    """What came back from a thread, and the context variables the work left there."""

    item: WorkItem
    result: Answer | Coroutine[Any, Any, Answer | J]
    context: contextvars.Context


class Slots(Generic[J]):
    """At most `limit` work items of a kind at work, as many again waiting."""

    def __init__(
        self,
        name: str,
        handler: Handler[J],
        *,
        limit: int,
        threads: int,
        deliver: Callable[[Answer, Callable[[WorkItem], Answer]], Awaitable[None]],
        log: logging.Logger,
    ) -> None:
        self._handler = handler
        self._limit = limit
        self._deliver = deliver
        self._log = log
        self._threads: Threads[J, _Performed[J]] = Threads(
            f"durabletask-{name}",
            count=min(threads, limit),
            perform=self._perform,
            collect=self._collect,
        )
        # Each item gets a copy: threads and the ends of other items, which often begin the
        # next, would bring it the context variables of user code before it.
        self._context = contextvars.copy_context()
        self._waiting: deque[WorkItem] = deque()
        self._at_work = 0
        self._is_open = True
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def owns(self, thread: threading.Thread) -> bool:
        """Whether work items are done on that thread."""
        return self._threads.owns(thread)

    async def put(self, items: Sequence[WorkItem]) -> None:
        """Take the items, waiting only while the waiting room is full."""
        for item in items:
            while len(self._waiting) >= self._limit:
                self._has_room.clear()
                await self._has_room.wait()
            if not self._is_open:
                return
            self._waiting.append(item)
            self._is_idle.clear()
            self._admit()

    def begin_no_more(self) -> None:
        """Forget what has not begun and what comes; the leases end with the stream."""
        self._is_open = False
        self._waiting.clear()
        self._leave(len(self._threads.take_back()))

    async def wait_idle(self) -> None:
        await self._is_idle.wait()

    def close(self) -> None:
        """Give up what is still at work; what is finished all the same is dropped."""
        self._is_closed = True
        self.begin_no_more()
        self._threads.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until what was given up on the loop has ended, which user code may refuse."""
        # Not gather(): whoever is tired of waiting would wait for the tasks all the same.
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
        # One work item may not end the reading of the others, whatever it raises.
        except BaseException:  # noqa: BLE001
            self._answer(self._given_up(item))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await(self, coroutine: Coroutine[Any, Any, Answer | J], item: WorkItem) -> None:
        try:
            answer = await coroutine
            if not isinstance(answer, Answer):
                self._threads.submit(answer)
                return
        # asyncio would stop the loop for a SystemExit. Being cancelled means nothing as long
        # as this is open: user code may do that to itself.
        except BaseException:
            if self._is_closed:
                raise
            answer = self._given_up(item)
        self._answer(answer)

    def _perform(self, job: J) -> _Performed[J]:
        context = self._context.copy()
        result: Answer | Coroutine[Any, Any, Answer | J]
        try:
            result = context.run(self._handler.perform, job)
        # Whatever it is, SystemExit included, it may cost this item but not the thread.
        except BaseException:  # noqa: BLE001
            result = self._given_up(job.item)
        return _Performed(job.item, result, context)

    def _collect(self, performed: list[_Performed[J]]) -> None:
        for each in performed:
            if isinstance(each.result, Answer):
                self._answer(each.result)
            elif not self._is_closed:
                each.context.run(self._spawn, self._await(each.result, each.item))

    def _given_up(self, item: WorkItem) -> Answer:
        self._log.exception(
            "Instance '%s': a work item could not be handled and is handed back.",
            item.instance_id,
        )
        return self._handler.abandon(item)

    def _answer(self, answer: Answer) -> None:
        # In a task of its own: user code may have left the one it ran in cancelled.
        if not self._is_closed:
            self._spawn(self._deliver_and_leave(answer))

    async def _deliver_and_leave(self, answer: Answer) -> None:
        try:
            await self._deliver(answer, self._handler.abandon)
        finally:
            self._leave(1)
            if answer.then is not None:
                answer.then()

    def _leave(self, count: int) -> None:
        self._at_work -= count
        self._admit()
        if not self._at_work and not self._waiting:
            self._is_idle.set()
