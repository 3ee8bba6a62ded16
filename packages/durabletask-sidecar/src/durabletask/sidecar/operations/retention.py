"""Purge instances that ended longer ago than the retention, in the background.

    find expired --> purge a batch, pause, … --> give space back, pause, … --> sleep

Live work comes first: a batch is one small commit, and the pause after it is several times as
long as the batch took.

The age of each instance counts from its own end. A sub-orchestration that has expired is
purged before its parent, which holds its result. A purge does not include sub-orchestrations,
because they may still be running.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from durabletask.sidecar.engine.commands import Purge
from durabletask.sidecar.engine.transition import Purged
from durabletask.sidecar.instrumentation import FailureLog
from durabletask.sidecar.store.queries import EndedQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from durabletask.sidecar.host import Host

_log = logging.getLogger("durabletask.sidecar")

# Added to or taken from any date of this century, it stays within the calendar.
MAX_RETENTION = timedelta(days=36_500)

# How many purges share a commit: it takes a few milliseconds and delays other requests by no
# more than that.
_BATCH = 10
# How many bytes of the file are given back at a time, for the same reason.
_STEP_BYTES = 128 * 1024
# How many times longer than a step the pause after it is, and how long it is at least.
_PAUSE_FACTOR = 5
_MIN_PAUSE = timedelta(milliseconds=5)
# The time between two searches: long enough that instances which end one after the other are
# purged in batches, and that a very short retention does not keep the sidecar busy.
_PERIOD = timedelta(minutes=1)
_MIN_PERIOD = timedelta(milliseconds=100)


def check_retention(retention: object) -> None:
    """Raise TypeError or ValueError unless it is a retention that can be kept."""
    if not isinstance(retention, timedelta):
        raise TypeError(f"retention must be a timedelta or None, not {type(retention).__name__}")
    if not timedelta(0) < retention <= MAX_RETENTION:
        raise ValueError(
            f"retention must be greater than 0 and at most {MAX_RETENTION.days} days, "
            f"not {retention}"
        )


class Retention:
    """Purges what ended longer ago than `retention`, until it is closed."""

    def __init__(self, host: Host, retention: timedelta) -> None:
        self._host = host
        self._retention = retention
        self._period = max(_MIN_PERIOD, min(_PERIOD, retention))
        self._task: asyncio.Task[None] | None = None
        self._failures = FailureLog("purge expired instances")

    def start(self) -> None:
        """Begin on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop; a batch that is submitted already may still be stored."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self._purge_expired()
                await self._give_space_back()
                next_search = self._next_search()
            except Exception as error:  # noqa: BLE001 - the loop must survive a store that fails
                self._failures.record(error)
                next_search = self._host.clock.now() + self._period
            else:
                self._failures.recovered(None)
            await self._sleep_until(next_search)

    async def _purge_expired(self) -> None:
        expired_before = self._host.clock.now() - self._retention
        count = 0
        for hub in list(self._host.reader.hubs()):
            for batch in self._batches(hub, expired_before):
                started = self._host.clock.now()
                purged = await self._purge(hub, batch, Purge(ended_before=expired_before))
                await self._pause_after(started)
                if purged is None:
                    break
                count += purged
        if count:
            _log.info("Purged %d instances that ended before %s", count, expired_before.isoformat())

    def _batches(self, hub: str, expired_before: datetime) -> Iterator[Sequence[str]]:
        """Ids of expired instances, oldest first; each batch is read when it is needed."""
        query, after = EndedQuery(completed_to=expired_before), None
        while found := list(islice(self._host.reader.ended(hub, query, after=after), _BATCH)):
            after = found[-1]
            yield [instance_id for _, instance_id in found]

    async def _purge(self, hub: str, ids: Iterable[str], command: Purge) -> int | None:
        """How many were purged; None when all failed, which group commit has logged by then."""
        submitted = (self._host.execute(hub, instance_id, command) for instance_id in ids)
        # A damaged instance must not keep the others from being purged.
        answers = await asyncio.gather(*submitted, return_exceptions=True)
        replies = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not replies:
            return None
        return sum(reply.count for reply in replies if isinstance(reply, Purged))

    async def _give_space_back(self) -> None:
        while True:
            started = self._host.clock.now()
            if not self._host.trim(_STEP_BYTES):
                return
            await self._pause_after(started)

    def _next_search(self) -> datetime:
        """When the oldest ended instance expires, but at least one period from now."""
        now = self._host.clock.now()
        reader = self._host.reader
        oldest = (next(iter(reader.ended(hub, EndedQuery())), None) for hub in reader.hubs())
        ended = [completed_at for completed_at, _ in filter(None, oldest)]
        return max(min(ended, default=now) + self._retention, now + self._period)

    async def _pause_after(self, started: datetime) -> None:
        now = self._host.clock.now()
        # A step seems long when the clock is set forward, as after the machine was suspended.
        pause = min(_PAUSE_FACTOR * (now - started), _PERIOD)
        await self._sleep_until(now + max(_MIN_PAUSE, pause))

    async def _sleep_until(self, when: datetime) -> None:
        awake = asyncio.Event()
        alarm = self._host.clock.call_at(when, awake.set)
        try:
            await awake.wait()
        finally:
            alarm.cancel()
