"""Choose where a commit waits for the disk: on the event loop, or on a thread of its own.

On the thread a flush costs half as much processor time again, and the way there and back takes
30 to 60 microseconds. On the loop everything else waits while it lasts. So flushes go to the
thread while they are slow, which is decided by the durations that were measured last.

A measured duration includes the wait for the interpreter's lock: a program whose threads are
busy makes a quick disk look slow. Only the quickest of many flushes tells what the disk needs.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# In seconds. The two limits differ so that flushes of about one millisecond do not change
# places all the time.
_SLOW = 0.001
_QUICK = 0.0005
# So many are remembered; until they have been measured, flushes count as quick.
_REMEMBERED = 16
# While flushes are slow, every so manieth is made on the loop: to be measured, and because
# nobody reads meanwhile, without which SQLite's log would only grow.
_MEASURED_EVERY = 32


class FlushPace:
    """Whether flushes are slow: whether even the quickest of those measured last was.

    Only flushes on the loop are measured: on the thread, each would include a wait for the
    interpreter's lock.
    """

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_slow = False
        self._unmeasured = 0

    def is_next_on_thread(self) -> bool:
        """Choose for the next flush; asked once for each."""
        if not self._is_slow:
            return False
        self._unmeasured = (self._unmeasured + 1) % _MEASURED_EVERY
        return self._unmeasured != 0

    def typical(self) -> float:
        """The median of those measured last, in seconds; 0 while too few were."""
        if len(self._durations) < _REMEMBERED:
            return 0.0
        return sorted(self._durations)[_REMEMBERED // 2]

    def measured(self, seconds: float) -> None:
        """Take note of how long a flush on the loop took."""
        self._durations.append(seconds)
        is_enough = len(self._durations) == _REMEMBERED
        limit = _QUICK if self._is_slow else _SLOW
        self._is_slow = is_enough and min(self._durations) > limit


class Flushing:
    """The pace of the flushes, and the thread for the slow ones, which the first of them starts."""

    def __init__(self, pace: FlushPace | None = None, executor: Executor | None = None) -> None:
        self.pace = pace or FlushPace()
        self._executor = executor or ThreadPoolExecutor(1, "durabletask-flush")

    def start(self, flush: Callable[[], None]) -> Future[None]:
        """Flush on the thread, or here when there can be none."""
        try:
            return self._executor.submit(flush)
        except RuntimeError:
            return _done_here(flush)

    def close(self) -> None:
        """End the thread, once it has finished what it does."""
        self._executor.shutdown()


def _done_here(flush: Callable[[], None]) -> Future[None]:
    future: Future[None] = Future()
    try:
        flush()
    except BaseException as error:  # noqa: BLE001 - raised by the future
        future.set_exception(error)
    else:
        future.set_result(None)
    return future
