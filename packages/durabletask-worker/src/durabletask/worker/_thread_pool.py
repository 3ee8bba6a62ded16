"""Daemon threads that work for an event loop.

`concurrent.futures` joins its threads when the interpreter exits, so that an activity that
never returns keeps a finished program from exiting; daemon threads do not. However many
results are ready, the loop is woken once to collect them: the hop between threads costs
more than a small orchestrator turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Job = TypeVar("Job")
Result = TypeVar("Result")


class ThreadPool(Generic[Job, Result]):
    """At most `count` daemon threads, each taking one job after the other.

    `perform` runs on the threads and must not raise. `collect` is called in the event loop
    that made this object, with the results in the order they were finished. Threads
    start when there are more jobs than idle threads.
    """

    def __init__(
        self,
        name: str,
        *,
        count: int,
        perform: Callable[[Job], Result],
        collect: Callable[[list[Result]], None],
    ) -> None:
        self._name = name
        self._count = count
        self._perform = perform
        self._collect = collect
        self._loop = asyncio.get_running_loop()
        # Guards the jobs and the number of idle threads together: read apart, a thread that
        # is about to wait is missed, or counted twice.
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._idle = 0
        self._is_closed = False
        self._threads: list[threading.Thread] = []
        self._results: deque[Result] = deque()
        self._wake_up_due = False

    def submit(self, job: Job) -> None:
        """Have the job done; RuntimeError if there is no thread and none can be started."""
        with self._changed:
            # Each job that waits has been promised one of the idle threads.
            if len(self._jobs) < self._idle or not self._start_thread(job):
                self._jobs.append(job)
                self._changed.notify()

    def owns(self, thread: threading.Thread) -> bool:
        """Whether that is one of these threads."""
        return thread in self._threads

    def cancel_queued(self) -> list[Job]:
        """Remove and return the jobs that no thread has begun."""
        with self._changed:
            waiting = list(self._jobs)
            self._jobs.clear()
        return waiting

    def close(self) -> None:
        """End the threads when no job is left to begin, without waiting for them."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _start_thread(self, job: Job) -> bool:
        """Begin the job on a new thread, if one more is allowed."""
        if len(self._threads) == self._count:
            return False
        thread = threading.Thread(
            target=self._run, args=(job,), name=f"{self._name}-{len(self._threads)}", daemon=True
        )
        # Before it starts: its first job may ask whether it is one of these.
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:
            # The machine has no thread left, or the interpreter exits. A thread that runs
            # already will take the job.
            self._threads.pop()
            if not self._threads:
                raise
            return False
        return True

    def _run(self, job: Job) -> None:
        while True:
            self._hand_over(self._perform(job))
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                self._idle -= 1
                if not self._jobs:
                    return
                job = self._jobs.popleft()

    def _hand_over(self, result: Result) -> None:
        self._results.append(result)
        if self._wake_up_due:
            return
        self._wake_up_due = True
        # In a loop that is closed nobody waits for the result any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake_up)

    def _wake_up(self) -> None:
        # Before the results are taken: a result that comes later wakes the loop again.
        self._wake_up_due = False
        results: list[Result] = []
        with contextlib.suppress(IndexError):
            while True:
                results.append(self._results.popleft())
        if results:
            self._collect(results)
