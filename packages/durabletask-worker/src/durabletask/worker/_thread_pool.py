"""Daemon threads that take one job after the other.

`concurrent.futures` joins its threads when the interpreter exits, so that an activity that
never returns keeps a finished program from exiting; daemon threads do not.

Only one thread at a time runs Python code, and a switch from one to another costs more than a
small activity. In a pool that is watched one thread therefore takes job after job, and others
are woken when it turns out to be stuck: jobs wait, and within an interval of the watch hardly
any was begun.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Watch = Callable[[Callable[[], bool]], None]

Job = TypeVar("Job")

# Seconds between two looks at a pool in which jobs wait.
WATCH_INTERVAL = 0.001
# A thread that begins fewer jobs than this within an interval waits for something in between.
FEW = 4
# Looks in a row at which that must be so.
SLOW_LOOKS = 2


class ThreadPool(Generic[Job]):
    """At most `count` daemon threads; `perform` runs on them and must not raise.

    `watch` is given a function to be called once in an interval, until it returns False. It
    wakes further threads if those that run are stuck. Without a watch there is a thread for
    each job at once: right for jobs that do nothing but wait.
    """

    def __init__(
        self,
        name: str,
        *,
        count: int,
        perform: Callable[[Job], None],
        watch: Watch | None = None,
    ) -> None:
        self._name = name
        self._count = count
        self._perform = perform
        self._watch = watch
        # Guards all that follows: jobs and numbers of threads, read apart, miss a thread that
        # is about to wait, or count it twice.
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._threads: list[threading.Thread] = []
        # What each idle thread waits to acquire. The last to come is woken first: what it
        # needs is most likely still in the caches.
        self._idle: list[threading.Lock] = []
        # Of the others: woken and not there yet; found to be stuck, and not back since.
        self._coming = 0
        self._stuck = 0
        self._stalls = 0
        self._begun = 0
        self._slow_looks = 0
        self._is_watched = False
        self._is_closed = False

    def submit(self, jobs: Iterable[Job]) -> None:
        """Have the jobs done; RuntimeError if there is no thread and none can be started."""
        with self._lock:
            self._jobs.extend(jobs)
            if self._watch is None:
                self._wake(len(self._jobs) - self._coming)
                return
            if self._busy() == self._stuck:
                self._wake(1)
            if not self._is_watched and len(self._jobs) > self._coming:
                self._be_watched(self._watch)

    def owns(self, thread: threading.Thread) -> bool:
        """Whether that is one of these threads."""
        return thread in self._threads

    def cancel_queued(self) -> list[Job]:
        """Remove and return the jobs that no thread has begun."""
        with self._lock:
            waiting = list(self._jobs)
            self._jobs.clear()
        return waiting

    def close(self) -> None:
        """End the threads when no job is left to begin, without waiting for them."""
        with self._lock:
            self._is_closed = True
            self._wake(len(self._idle))

    def _busy(self) -> int:
        return len(self._threads) - len(self._idle)

    def _wake(self, count: int) -> None:
        for _ in range(count):
            if self._idle:
                self._idle.pop().release()
            elif not self._start_thread():
                return
            self._coming += 1

    def _start_thread(self) -> bool:
        """Start a thread, if one more is allowed."""
        if len(self._threads) == self._count:
            return False
        thread = threading.Thread(
            target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True
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
                self._jobs.clear()
                raise
            return False
        return True

    def _run(self) -> None:
        wake_up = threading.Lock()
        wake_up.acquire()
        while True:
            with self._lock:
                self._coming -= 1
                stalls = self._stalls
            while True:
                with self._lock:
                    if stalls != self._stalls:
                        stalls = self._stalls
                        self._stuck -= 1
                    if not self._jobs:
                        if self._is_closed:
                            return
                        self._idle.append(wake_up)
                        break
                    job = self._jobs.popleft()
                    self._begun += 1
                self._perform(job)
                # An idle thread must not keep a large payload.
                del job
            wake_up.acquire()

    def _be_watched(self, watch: Watch) -> None:
        # Where all threads are at work already, nothing can be done for what waits.
        if self._busy() < self._count:
            self._is_watched = True
            self._begun = self._slow_looks = 0
            watch(self._relieve)

    def _relieve(self) -> bool:
        """Wake further threads if those that run are stuck; whether to look again."""
        with self._lock:
            begun, self._begun = self._begun, 0
            busy = self._busy()
            if not self._jobs or busy == self._count:
                self._is_watched = False
                return False
            is_slow = begun < max(1, FEW * (busy - self._stuck))
            self._slow_looks = self._slow_looks + 1 if is_slow else 0
            # Once may be chance: while a thread that is no part of the pool holds the interpreter,
            # the pool's threads wait for it, and so do a woken thread and the watch.
            if self._slow_looks >= SLOW_LOOKS and not self._coming:
                self._send_help(begun, busy)
            return True

    def _send_help(self, begun: int, busy: int) -> None:
        if begun == 0:
            self._stuck = busy
            self._stalls += 1
            self._wake(len(self._jobs))
        else:
            self._wake(min(len(self._jobs), busy - self._stuck))


class StallWatch:
    """A thread that looks after pools while jobs wait in them, and sleeps otherwise."""

    def __init__(self, *, interval: float = WATCH_INTERVAL) -> None:
        self._interval = interval
        self._looks: SimpleQueue[Callable[[], bool] | None] = SimpleQueue()
        self._is_closed = threading.Event()
        threading.Thread(target=self._run, name="durabletask-watch", daemon=True).start()

    def __call__(self, look: Callable[[], bool]) -> None:
        """Call `look` on the thread once in an interval, until it returns False."""
        self._looks.put(look)

    def close(self) -> None:
        """End the thread; what is still watched is left alone."""
        self._is_closed.set()
        self._looks.put(None)

    def _run(self) -> None:
        looks: list[Callable[[], bool]] = []
        while not self._is_closed.wait(self._interval):
            looks = [look for look in looks if look()]
            while not looks or not self._looks.empty():
                if (look := self._looks.get()) is None:
                    return
                looks.append(look)
