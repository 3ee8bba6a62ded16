"""Let time stand still while anything happens, and jump when nothing else can happen.

Time passes only while somebody waits for an instance: whoever does not wait may be about
to do something at the present time. It jumps straight to what is due next, once no work
is out or queued and nothing is left to store.

Nothing polls. What may bring the engine to rest ends in a commit that is published, in an
alarm that is set, in somebody who waits, or in a wipe; after each of these the loop looks.

Knows nothing about what becomes due, and nothing about threads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .clock import SystemClock
from .host import Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .clock import Alarm, Clock, ManualClock
    from .commit.committer import Committer
    from .commit.notifications import Notifications
    from .engine.state import Instance


class SkippingHost(Host):
    """A host that moves its own clock; with `skips` unset, only when it is told to."""

    def __init__(
        self,
        committer: Committer,
        clock: ManualClock,
        new_id: Callable[[], str],
        *,
        skips: bool = True,
    ) -> None:
        super().__init__(committer, _Observed(clock, self._look_soon), new_id)
        # Workers take a silent stream for dead by their own clock, which nobody moves.
        self.link_clock = SystemClock()
        self._manual = clock
        self._skips = skips
        self._waiting = 0
        self._is_look_due = False
        self._for_rest: list[asyncio.Future[None]] = []

    async def wait(
        self, hub: str, instance_id: str, is_reached: Callable[[Instance], bool]
    ) -> Instance | None:
        self._waiting += 1
        self._look_soon()
        try:
            return await super().wait(hub, instance_id, is_reached)
        finally:
            self._waiting -= 1

    def wipe(self, hub: str) -> None:
        super().wipe(hub)
        self._look_soon()

    async def wait_idle(self) -> None:
        """Return once nothing happens any more until somebody calls, or time passes."""
        while not self.is_idle:
            idle = asyncio.get_running_loop().create_future()
            self._for_rest.append(idle)
            await idle

    def skip(self) -> datetime | None:
        """Move the clock to what is due next, and say when that is; None when nothing is."""
        due_at = self.next_due()
        if due_at is not None:
            self._manual.advance_to(due_at)
            # Behind the alarms that this has rung: they may have had nothing to do.
            self._look_soon()
        return due_at

    def _publish(self, notifications: Notifications) -> None:
        super()._publish(notifications)
        self._look_soon()

    def _look_soon(self) -> None:
        # Later in the loop's order than all that is happening now.
        if not self._is_look_due:
            self._is_look_due = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._is_look_due = False
        if not self.is_idle:
            return
        for idle in self._for_rest:
            if not idle.done():
                idle.set_result(None)
        self._for_rest.clear()
        if self._skips and self._waiting:
            self.skip()


class _Observed:
    """A clock that says when an alarm is set: something is to happen later."""

    def __init__(self, clock: Clock, alarm_set: Callable[[], None]) -> None:
        self._clock = clock
        self._alarm_set = alarm_set

    def now(self) -> datetime:
        return self._clock.now()

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        alarm = self._clock.call_at(when, callback)
        self._alarm_set()
        return alarm
