"""Hand ready work to the workers that wait for it.

Commits offer work, streams take it; nothing polls. Of one instance at most one turn is
out at any time. Work whose stream ends, or whose worker gives it back, is offered
again: at once, and after a growing pause when it keeps coming back.

Knows nothing about gRPC and nothing about what a completion means.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.notifications import Kind, Work, WorkKey
from durabletask.sidecar.engine.limits import DEFAULT, error_text
from durabletask.sidecar.errors import ResourceExhaustedError, ShuttingDownError
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION, FailureLog, WorkStats

from .leases import Lease, Leases
from .queue import Backlog
from .streams import Appetite, WorkStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.sidecar.clock import Alarm, Clock
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.instrumentation import Instrumentation

    Load = Callable[[Lease, datetime], bytes | None]
    Refuse = Callable[[Lease, int], asyncio.Future[Reply]]

_log = logging.getLogger("durabletask.sidecar")

_LONGEST_REST = timedelta(minutes=1)


def _about(work: Work) -> dict[str, str]:
    return {"hub": work.hub, "instance_id": work.instance_id, "kind": work.kind.value}


@dataclass(slots=True)
class _Rest:
    """Work that is left alone for a while."""

    work: Work
    shunned: WorkStream
    alarm: Alarm


class Dispatcher:
    """Ready work on one side, streams on the other, leases between them."""

    def __init__(
        self,
        load: Load,
        refuse: Refuse,
        clock: Clock,
        new_token: Callable[[Work], str],
        limits: Limits = DEFAULT,
    ) -> None:
        """A dispatcher without work and workers.

        `load` makes the work item of a lease; None when there is nothing to do any more.
        `refuse` fails work whose item is larger than its worker accepts, given that size; its
        future is done once the failure is stored, or cannot be.
        """
        self._load = load
        self._refuse = refuse
        self._clock = clock
        self._new_token = new_token
        self._limits = limits
        self._backlog = Backlog()
        self._streams: set[WorkStream] = set()
        self._leases = Leases()
        self._returns: dict[WorkKey, int] = {}
        self._resting: dict[WorkKey, _Rest] = {}
        self._is_retiring = False
        self._is_draining = False
        self._reading = FailureLog("prepare work items")
        self._came_back = asyncio.Event()
        self.instrumentation: Instrumentation = NO_INSTRUMENTATION

    def open(self, appetite: Appetite) -> WorkStream:
        """Admit a worker, and give it what it has room for.

        Raises ResourceExhaustedError when there are enough of them, ShuttingDownError at the end.
        """
        if self._is_retiring:
            raise ShuttingDownError
        self._check_room()
        stream = WorkStream(appetite)
        self._streams.add(stream)
        _log.info("a worker came", extra={"hub": appetite.hub})
        self._backlog.join(stream)
        self.pump()
        return stream

    def _check_room(self) -> None:
        limit = self._limits.exceeded("streams", len(self._streams) + 1)
        if limit is not None:
            found = f"{len(self._streams)} streams of work items are open"
            advice = "Stop workers that are not needed, or raise the limit."
            raise ResourceExhaustedError(error_text(found, limit, "streams", advice))

    def close(self, stream: WorkStream) -> None:
        """Part with a worker; what it holds goes to others at once."""
        self._streams.discard(stream)
        _log.info("a worker left", extra={"hub": stream.appetite.hub})
        self._backlog.leave(stream)
        stream.close()
        if self._is_draining:
            # Nobody else gets the work now, and the worker may still deliver it.
            return
        for lease in self._leases.held_by(stream):
            if lease.settling is None:
                self.instrumentation.work_lost(lease.work.kind.value)
                self._take_back(lease)
        self.pump()

    def restate(self, stream: WorkStream, appetite: Appetite) -> None:
        """Take note of what a worker has shown about itself since it came."""
        if stream.is_closed:
            return
        self._backlog.leave(stream)
        stream.appetite = appetite
        self._backlog.join(stream)

    def retire(self) -> None:
        """Hand nothing out any more and admit nobody; what is out may still be completed."""
        self._is_retiring = True

    async def wait_returned(self) -> None:
        """Return once no worker owes an answer."""
        while self._leases.is_any_out():
            self._came_back.clear()
            await self._came_back.wait()

    def drain(self) -> None:
        """End every stream; completions under way still count."""
        self.retire()
        self._is_draining = True
        for rest in self._resting.values():
            rest.alarm.cancel()
        for stream in self._streams:
            stream.close()

    def offer(self, work: Work) -> None:
        """Queue work that a commit made ready; the next `pump` hands it out."""
        lease = self._leases.of(work.key)
        rest = self._resting.get(work.key)
        if lease is not None:
            lease.again = work
        elif rest is not None:
            rest.work = work
        else:
            self._backlog.add(work)

    def pump(self) -> None:
        """Hand out all that there is room for."""
        if self._is_retiring:
            return
        for work, stream in self._backlog.assignments():
            self._hand_out(work, stream)

    def find(self, token: str) -> Lease | None:
        """The lease with this token, unless it is over."""
        return self._leases.find(token)

    def find_sole(
        self, kind: Kind, hub: str, instance_id: str | None = None, task_id: int | None = None
    ) -> Lease | None:
        """What `find` finds, for a worker that does not echo tokens."""
        return self._leases.sole(kind, hub, instance_id, task_id)

    def settle(self, lease: Lease) -> None:
        """End the lease of work that is done."""
        self._returns.pop(lease.work.key, None)
        self._release(lease)
        if lease.again is not None:
            self.offer(lease.again)

    def unsettle(self, lease: Lease) -> None:
        """Take note that the completion could not be stored: the lease goes on."""
        lease.settling = None
        if lease.stream.is_closed and not self._is_draining:
            self.redeliver(lease)

    def redeliver(self, lease: Lease) -> None:
        """Offer the work anew at once, without anything held against it or its worker."""
        self._take_back(lease)
        self.pump()

    def abandon(self, lease: Lease) -> None:
        """Offer work anew that its worker does not want, to others first."""
        self.instrumentation.work_abandoned(lease.work.kind.value)
        _log.debug("a worker gave work back", extra=_about(lease.work))
        if not self._release(lease):
            return
        key = lease.work.key
        returns = self._returns[key] = self._returns.get(key, 0) + 1
        if returns == 1:
            self._backlog.add(lease.again or lease.work, shunned=lease.stream)
            self.pump()
        else:
            self._rest(lease, returns - 2)

    def revoke(self, key: WorkKey) -> None:
        """Forget void work, wherever it is; work of that key may be offered anew at once.

        A worker that holds it keeps its slot for it until it has answered.
        """
        self._backlog.drop(key)
        self._reading.recovered(key)
        self._returns.pop(key, None)
        rest = self._resting.pop(key, None)
        if rest is not None:
            rest.alarm.cancel()
        lease = self._leases.of(key)
        if lease is not None:
            lease.again = None
            self._leases.forget_work(lease)

    def forget_sessions(self, hub: str, instance_id: str | None = None) -> None:
        """Take note that what workers have warm of the instance, or of all, is void."""
        for stream in self._streams:
            if stream.appetite.hub == hub:
                stream.sessions.forget(instance_id)

    def forget(self, hub: str, instance_id: str) -> None:
        """Take note that the instance has ended."""
        self._backlog.unsettle(hub, instance_id)

    def revoke_all(self, hub: str) -> None:
        """Forget all work of the task hub."""
        resting = [key for key in self._resting if key[1] == hub]
        for key in (*self._backlog.keys_of(hub), *resting, *self._leases.keys_of(hub)):
            self.revoke(key)

    def _hand_out(self, work: Work, stream: WorkStream) -> None:
        lease = self._leases.grant(self._new_token(work), work, stream)
        try:
            item = self._load(lease, self._clock.now())
        except Exception as error:  # noqa: BLE001 - one unreadable instance must not stop all others
            self._reading.record(error, work.key, _about(work))
            self._leases.release(lease)
            self._rest(lease, doublings=3)
            return
        self._reading.recovered(work.key)
        if item is None:
            self._returns.pop(work.key, None)
            self._leases.release(lease)
        elif len(item) > stream.appetite.max_message:
            lease.settling = self._refuse(lease, len(item))
        else:
            if work.kind is Kind.TURN:
                self._backlog.settle(work, stream)
            stream.send(item)

    def _take_back(self, lease: Lease) -> None:
        if self._release(lease):
            self._backlog.add(lease.again or lease.work)

    def _release(self, lease: Lease) -> bool:
        """End the lease; true when the work was not revoked or leased anew meanwhile."""
        is_current = self._leases.of(lease.work.key) is lease
        self._leases.release(lease)
        self._came_back.set()
        return is_current

    def _rest(self, lease: Lease, doublings: int) -> None:
        pause = min(timedelta(seconds=2 ** min(doublings, 10)), _LONGEST_REST)
        work = lease.again or lease.work

        def end() -> None:
            rest = self._resting.pop(work.key)
            self._backlog.add(rest.work, shunned=rest.shunned)
            self.pump()

        alarm = self._clock.call_at(self._clock.now() + pause, end)
        self._resting[work.key] = _Rest(work, lease.stream, alarm)

    def stats(self) -> WorkStats:
        """How much waits, and how much is out."""
        waiting = self._backlog.counts()
        waiting.update(kind for kind, *_ in self._resting)
        leased = self._leases.counts()
        return WorkStats(
            {kind.value: count for kind, count in waiting.items()},
            {kind.value: count for kind, count in leased.items()},
            len(self._streams),
        )

    @property
    def is_idle(self) -> bool:
        """Whether no work is out or queued; what rests waits for time to pass."""
        return self._backlog.is_empty() and not self._leases.is_any_out()

    def next_due(self) -> datetime | None:
        """When the first of the work that rests is offered anew; None when none does."""
        return min((rest.alarm.when for rest in self._resting.values()), default=None)
