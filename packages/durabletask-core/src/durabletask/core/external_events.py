"""External events, and the tasks that wait for them.

Names are compared without regard to case. An event completes one task, the one that has
waited longest; an event that no task waits for is buffered until one does.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core.actions import TimerOrigin
from durabletask.core.pending_calls import complete_task
from durabletask.task import CancellableTask

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.core.timers import Timer, Timers
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter


class BufferedEvent(NamedTuple):
    """An event that no task has waited for, and its arrival index."""

    arrival: int
    event: messages.HistoryEvent
    raised: messages.EventRaisedEvent


class Waiter:
    """A task that waits for an event of a name."""

    __slots__ = ("data_type", "name", "task", "timer")

    def __init__(self, name: str, data_type: type | None) -> None:
        self.name = name
        self.data_type = data_type
        self.task: CancellableTask[Any] = CancellableTask()
        self.timer: Timer | None = None


class ExternalEvents:
    """The waiters and the buffered events of one orchestration."""

    __slots__ = ("_arrivals", "_buffered", "_converter", "_timers", "_waiters")

    def __init__(self, timers: Timers, converter: DataConverter) -> None:
        self._timers = timers
        self._converter = converter
        self._waiters: dict[str, deque[Waiter]] = {}
        self._buffered: dict[str, deque[BufferedEvent]] = {}
        self._arrivals = 0

    def wait(
        self, name: str, data_type: type | None, timeout: datetime | None
    ) -> CancellableTask[Any]:
        """Complete with the next event of that name; fails with TimeoutError at `timeout`."""
        waiter = Waiter(name, data_type)
        key = name.casefold()
        buffered = self._buffered.get(key)
        if buffered:
            self._complete(waiter, buffered.popleft().raised)
        else:
            self._waiters.setdefault(key, deque()).append(waiter)
            if timeout is not None:
                waiter.timer = self._timers.start(
                    timeout,
                    partial(self._time_out, waiter, timeout),
                    TimerOrigin("external_event", name),
                )
            waiter.task.set_cancel_handler(partial(self._remove, waiter))
        return waiter.task

    def deliver(self, event: messages.HistoryEvent, raised: messages.EventRaisedEvent) -> None:
        """Complete the task that has waited longest, or buffer the event."""
        waiters = self._waiters.get(raised.name.casefold())
        if not waiters:
            self.buffer(event, raised)
            return
        waiter = waiters[0]
        self._remove(waiter)
        self._complete(waiter, raised)

    def buffer(self, event: messages.HistoryEvent, raised: messages.EventRaisedEvent) -> None:
        """Buffer the event, even if a task waits for it."""
        self._arrivals += 1
        buffered = self._buffered.setdefault(raised.name.casefold(), deque())
        buffered.append(BufferedEvent(self._arrivals, event, raised))

    def buffered(self) -> list[messages.HistoryEvent]:
        """The events that no task has received, in the order they came."""
        everything = [each for of_name in self._buffered.values() for each in of_name]
        return [each.event for each in sorted(everything, key=lambda each: each.arrival)]

    def _complete(self, waiter: Waiter, raised: messages.EventRaisedEvent) -> None:
        complete_task(waiter.task, raised.input, waiter.data_type, self._converter)

    def _time_out(self, waiter: Waiter, timeout: datetime) -> None:
        self._remove(waiter)
        waiter.task.fail_with(
            TimeoutError(
                f"the event '{waiter.name}' was not raised before "
                f"{timeout:%Y-%m-%d %H:%M:%S.%f} UTC"
            )
        )

    def _remove(self, waiter: Waiter) -> None:
        self._waiters[waiter.name.casefold()].remove(waiter)
        if waiter.timer is not None:
            self._timers.cancel(waiter.timer)
