"""Stop the time of an engine while anything happens, and skip ahead when nothing else can.

With automatic skipping, time passes only while a client waits for an instance: a test that
does not wait may be about to do something at the current time. Once no work is dispatched
or queued and nothing is left to store, the clock jumps to what is due next.

Nothing polls. Whatever can make the engine idle ends in a commit that is published, in an
alarm that is set, in a client that begins to wait, or in a wipe; each of these makes the
event loop check once more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from durabletask.sidecar.clock import SystemClock
from durabletask.sidecar.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.sidecar.clock import Alarm, Clock, ManualClock
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.commit.notifications import Notifications
    from durabletask.sidecar.engine.state import Instance


class TimeSkippingHost(Host):
    """A host that moves its own clock; without `auto_skip`, only when `skip` is called."""

    def __init__(
        self,
        committer: Committer,
        clock: ManualClock,
        new_id: Callable[[], str],
        *,
        auto_skip: bool = True,
    ) -> None:
        super().__init__(committer, _ObservedClock(clock, self._check_soon), new_id)
        # Workers measure by their own clocks how long a stream was silent: pings must be sent
        # in real time.
        self.link_clock = SystemClock()
        self._manual_clock = clock
        self._auto_skip = auto_skip
        self._waiting_clients = 0
        self._is_check_due = False
        self._idle_waiters: list[asyncio.Future[None]] = []

    async def wait(
        self, hub: str, instance_id: str, is_reached: Callable[[Instance], bool]
    ) -> Instance | None:
        self._waiting_clients += 1
        self._check_soon()
        try:
            return await super().wait(hub, instance_id, is_reached)
        finally:
            self._waiting_clients -= 1

    def wipe(self, hub: str) -> None:
        super().wipe(hub)
        self._check_soon()

    async def wait_idle(self) -> None:
        """Return once nothing more happens until a peer calls, or time passes."""
        while not self.is_idle:
            idle = asyncio.get_running_loop().create_future()
            self._idle_waiters.append(idle)
            await idle

    def skip(self) -> datetime | None:
        """Move the clock to what is due next and return that time; None when nothing is due."""
        due_at = self.next_due()
        if due_at is not None:
            self._manual_clock.advance_to(due_at)
            # The alarms that this has set off may have had nothing to do.
            self._check_soon()
        return due_at

    def _publish(self, notifications: Notifications) -> None:
        super()._publish(notifications)
        self._check_soon()

    def _check_soon(self) -> None:
        # Later in the event loop's queue than everything that is happening now.
        if not self._is_check_due:
            self._is_check_due = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._is_check_due = False
        if not self.is_idle:
            return
        for idle in self._idle_waiters:
            if not idle.done():
                idle.set_result(None)
        self._idle_waiters.clear()
        if self._auto_skip and self._waiting_clients:
            self.skip()


class _ObservedClock:
    """A clock that reports when an alarm is set: something will happen later."""

    def __init__(self, clock: Clock, on_alarm_set: Callable[[], None]) -> None:
        self._clock = clock
        self._on_alarm_set = on_alarm_set

    def now(self) -> datetime:
        return self._clock.now()

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        alarm = self._clock.call_at(when, callback)
        self._on_alarm_set()
        return alarm
