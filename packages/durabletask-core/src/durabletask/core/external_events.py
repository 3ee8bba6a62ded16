"""Events that come from outside, and who waits for them.

Names are compared without regard to case. An event completes one waiter, the one that has
waited longest; an event that nobody waits for is kept, raw, until someone does.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core.actions import TimerOrigin
from durabletask.core.calls import hand_over
from durabletask.task import CancellableTask

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.core.timers import Timer, Timers
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter


class Kept(NamedTuple):
    """An event that nobody has waited for, and the how-manieth it was to be kept."""

    arrival: int
    event: messages.HistoryEvent
    raised: messages.EventRaisedEvent


class Waiter:
    """Somebody who waits for an event of a name."""

    __slots__ = ("data_type", "name", "task", "timer")

    def __init__(self, name: str, data_type: type | None) -> None:
        self.name = name
        self.data_type = data_type
        self.task: CancellableTask[Any] = CancellableTask()
        self.timer: Timer | None = None


class ExternalEvents:
    """The waiters and the kept events of one orchestration."""

    __slots__ = ("_arrivals", "_converter", "_kept", "_timers", "_waiters")

    def __init__(self, timers: Timers, converter: DataConverter) -> None:
        self._timers = timers
        self._converter = converter
        self._waiters: dict[str, deque[Waiter]] = {}
        self._kept: dict[str, deque[Kept]] = {}
        self._arrivals = 0

    def wait(
        self, name: str, data_type: type | None, timeout: datetime | None
    ) -> CancellableTask[Any]:
        """Complete with the next event of that name; fails with TimeoutError at `timeout`."""
        waiter = Waiter(name, data_type)
        key = name.casefold()
        kept = self._kept.get(key)
        if kept:
            self._hand_over(kept.popleft().raised, waiter)
        else:
            self._waiters.setdefault(key, deque()).append(waiter)
            if timeout is not None:
                waiter.timer = self._timers.start(
                    timeout,
                    partial(self._time_out, waiter, timeout),
                    TimerOrigin("external_event", name),
                )
            waiter.task.set_cancel_handler(partial(self._forget, waiter))
        return waiter.task

    def arrive(self, event: messages.HistoryEvent, raised: messages.EventRaisedEvent) -> None:
        """Hand the event to the one who has waited longest, or keep it."""
        waiters = self._waiters.get(raised.name.casefold())
        if not waiters:
            self.keep(event, raised)
            return
        waiter = waiters[0]
        self._forget(waiter)
        self._hand_over(raised, waiter)

    def keep(self, event: messages.HistoryEvent, raised: messages.EventRaisedEvent) -> None:
        """Keep the event, whoever waits."""
        self._arrivals += 1
        kept = self._kept.setdefault(raised.name.casefold(), deque())
        kept.append(Kept(self._arrivals, event, raised))

    def kept(self) -> list[messages.HistoryEvent]:
        """The events that nobody has got, in the order they came."""
        everything = [kept for of_name in self._kept.values() for kept in of_name]
        return [kept.event for kept in sorted(everything, key=lambda kept: kept.arrival)]

    def _hand_over(self, raised: messages.EventRaisedEvent, waiter: Waiter) -> None:
        hand_over(waiter.task, raised.input, waiter.data_type, self._converter)

    def _time_out(self, waiter: Waiter, timeout: datetime) -> None:
        self._forget(waiter)
        waiter.task.fail_with(
            TimeoutError(f"no event '{waiter.name}' came until {timeout:%Y-%m-%d %H:%M:%S.%f} UTC")
        )

    def _forget(self, waiter: Waiter) -> None:
        self._waiters[waiter.name.casefold()].remove(waiter)
        if waiter.timer is not None:
            self._timers.cancel(waiter.timer)
