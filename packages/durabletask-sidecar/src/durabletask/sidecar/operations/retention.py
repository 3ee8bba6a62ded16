"""Forget what ended long ago, in the background.

    look --old ones--> purge a batch, rest, … --> give space back, rest, … --> sleep

Live work comes first: a batch is one small commit, and between two of them everybody else
has several times as long as it took.

Each instance is judged by its own age. A child that ended long ago goes before its parent,
which has its result; and what goes takes no others along, for they may be alive.

Knows nothing about how an instance is forgotten: the engine does.
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

# One commit of so many takes a few milliseconds, which is what others wait longer at most.
_BATCH = 10
# So much of a file is given back at a time, for the same reason.
_STEP_BYTES = 128 * 1024
# How much longer than each step the rest after it is, and how long it is at least.
_REST = 5
_SHORTEST_REST = timedelta(milliseconds=5)
# How often it looks at most, so that what ends all the time is purged in batches.
_PERIOD = timedelta(minutes=1)


class Retention:
    """Keeps a host from remembering what ended longer ago than `kept`."""

    def __init__(self, host: Host, kept: timedelta) -> None:
        self._host = host
        self._kept = kept
        self._task: asyncio.Task[None] | None = None
        self._failures = FailureLog("purge expired instances")

    def start(self) -> None:
        """Begin on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop; a batch that is submitted may still be stored."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self._forget_the_old()
                await self._give_space_back()
                next_look = self._next_look()
            except Exception as error:  # noqa: BLE001 - what is old must go once the store is well
                self._failures.record(error)
                next_look = self._host.clock.now() + self._period
            else:
                self._failures.recovered(None)
            await self._sleep_until(next_look)

    @property
    def _period(self) -> timedelta:
        return min(_PERIOD, self._kept)

    async def _forget_the_old(self) -> None:
        age = self._host.clock.now() - self._kept
        count = 0
        for hub in list(self._host.reader.hubs()):
            for batch in self._batches(hub, age):
                began = self._host.clock.now()
                purged = await self._purge(hub, batch, Purge(ended_before=age))
                await self._rest_since(began)
                if purged is None:
                    break
                count += purged
        if count:
            _log.info("purged %d instances that ended before %s", count, age.isoformat())

    def _batches(self, hub: str, age: datetime) -> Iterator[Sequence[str]]:
        """Ids of those that ended before, oldest first, each looked for when it is wanted."""
        query, after = EndedQuery(completed_to=age), None
        while found := list(islice(self._host.reader.ended(hub, query, after=after), _BATCH)):
            after = found[-1]
            yield [instance_id for _, instance_id in found]

    async def _purge(self, hub: str, names: Iterable[str], command: Purge) -> int | None:
        """How many are gone; None when nothing can be stored now, as has been logged by then."""
        submitted = (self._host.execute(hub, name, command) for name in names)
        # One that is damaged must not keep the others for ever.
        answers = await asyncio.gather(*submitted, return_exceptions=True)
        replies = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not replies:
            return None
        return sum(reply.count for reply in replies if isinstance(reply, Purged))

    async def _give_space_back(self) -> None:
        while True:
            began = self._host.clock.now()
            if not self._host.trim(_STEP_BYTES):
                return
            await self._rest_since(began)

    def _next_look(self) -> datetime:
        """When the oldest of those that have ended will be old; soon, but not at once."""
        now = self._host.clock.now()
        reader = self._host.reader
        oldest = (next(iter(reader.ended(hub, EndedQuery())), None) for hub in reader.hubs())
        ended = [completed_at for completed_at, _ in filter(None, oldest)]
        return max(min(ended, default=now) + self._kept, now + self._period)

    async def _rest_since(self, began: datetime) -> None:
        now = self._host.clock.now()
        # Seems long when the clock is set forward, as after a suspension of the machine.
        rest = min(_REST * (now - began), _PERIOD)
        await self._sleep_until(now + max(_SHORTEST_REST, rest))

    async def _sleep_until(self, when: datetime) -> None:
        awake = asyncio.Event()
        alarm = self._host.clock.call_at(when, awake.set)
        try:
            await awake.wait()
        finally:
            alarm.cancel()
