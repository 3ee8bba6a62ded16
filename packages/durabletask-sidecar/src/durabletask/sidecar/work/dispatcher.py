"""Hand ready work to the workers that are connected.

Commits offer work, and streams receive it; nothing polls. At most one turn of an instance is
leased at any time. Work whose stream ends or whose worker abandons it is offered again: at
once, and after a delay that doubles while it keeps being abandoned.
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
from .queue import WorkQueue
from .streams import Subscription, WorkStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.sidecar.clock import Alarm, Clock
    from durabletask.sidecar.commit.pending_reply import PendingReply
    from durabletask.sidecar.engine.limits import Limits
    from durabletask.sidecar.instrumentation import Instrumentation

    Load = Callable[[Lease, datetime], bytes | None]
    FailTooLarge = Callable[[Lease, int], PendingReply]

_log = logging.getLogger("durabletask.sidecar")

_MAX_DELAY = timedelta(minutes=1)


def _log_fields(work: Work) -> dict[str, str]:
    return {"hub": work.hub, "instance_id": work.instance_id, "kind": work.kind.value}


@dataclass(slots=True)
class _Delayed:
    """Work that is redelivered later."""

    work: Work
    avoided: WorkStream
    alarm: Alarm


class Dispatcher:
    """Brings queued work and streams together, and keeps the leases."""

    def __init__(
        self,
        load: Load,
        fail_too_large: FailTooLarge,
        clock: Clock,
        new_token: Callable[[Work], str],
        limits: Limits = DEFAULT,
    ) -> None:
        """A dispatcher without work and workers.

        `load` makes the work item of a lease, or returns None when there is nothing to do any
        more. `fail_too_large` fails work whose item has more bytes than its worker accepts; its
        future is done once the failure is stored, or cannot be stored.
        """
        self._load = load
        self._fail_too_large = fail_too_large
        self._clock = clock
        self._new_token = new_token
        self._limits = limits
        self._queue = WorkQueue()
        self._streams: set[WorkStream] = set()
        self.leases = Leases()
        self._abandon_counts: dict[WorkKey, int] = {}
        self._delayed: dict[WorkKey, _Delayed] = {}
        self._is_draining = False
        self._is_disconnected = False
        self._load_failures = FailureLog("prepare work items")
        self._lease_ended = asyncio.Event()
        self.instrumentation: Instrumentation = NO_INSTRUMENTATION

    def open(self, subscription: Subscription) -> WorkStream:
        """Connect a worker, and hand it what it has free slots for.

        Raises ResourceExhaustedError when too many are connected, and ShuttingDownError while
        the sidecar drains.
        """
        if self._is_draining:
            raise ShuttingDownError
        self._check_limit()
        stream = WorkStream(subscription)
        self._streams.add(stream)
        _log.info("Worker connected", extra={"hub": subscription.hub})
        self._queue.join(stream)
        self.dispatch()
        return stream

    def _check_limit(self) -> None:
        limit = self._limits.exceeded("streams", len(self._streams) + 1)
        if limit is not None:
            found = f"{len(self._streams)} streams of work items are open"
            advice = "Stop workers that are not needed, or raise the limit."
            raise ResourceExhaustedError(error_text(found, limit, "streams", advice))

    def close(self, stream: WorkStream) -> None:
        """Disconnect a worker; what it holds goes to others at once."""
        self._streams.discard(stream)
        _log.info("Worker disconnected", extra={"hub": stream.subscription.hub})
        self._queue.leave(stream)
        stream.close()
        if self._is_disconnected:
            # No other worker gets the work now, and this one may still complete it.
            return
        for lease in self.leases.held_by(stream):
            if lease.committing is None:
                self.instrumentation.work_lost(lease.work.kind.value)
                self._requeue(lease)
        self.dispatch()

    def resubscribe(self, stream: WorkStream, subscription: Subscription) -> None:
        """Replace the subscription of a worker that has shown more about itself."""
        if stream.is_closed:
            return
        self._queue.leave(stream)
        stream.subscription = subscription
        self._queue.join(stream)

    def drain(self) -> None:
        """Hand nothing out and connect no worker any more; leases may still be completed."""
        self._is_draining = True

    async def wait_leases_ended(self) -> None:
        """Return once no worker holds a lease."""
        while self.leases.is_any_out():
            self._lease_ended.clear()
            await self._lease_ended.wait()

    def disconnect(self) -> None:
        """End every stream; completions under way are still stored."""
        self.drain()
        self._is_disconnected = True
        for delayed in self._delayed.values():
            delayed.alarm.cancel()
        for stream in self._streams:
            stream.close()

    def offer(self, work: Work) -> None:
        """Queue work that a commit made ready; the next `dispatch` hands it out."""
        lease = self.leases.of(work.key)
        delayed = self._delayed.get(work.key) if self._delayed else None
        if lease is not None:
            lease.next_work = work
        elif delayed is not None:
            delayed.work = work
        else:
            self._queue.add(work)

    def dispatch(self) -> None:
        """Hand out all work that a worker has a free slot for."""
        if self._is_draining or self._queue.is_empty():
            return
        now = self._clock.now()
        ready: dict[WorkStream, list[bytes]] = {}
        for work, stream in self._queue.assignments():
            item = self._lease(work, stream, now)
            if item is not None:
                ready.setdefault(stream, []).append(item)
        # Afterwards, because who receives them may complete or abandon work at once.
        for stream, items in ready.items():
            stream.send(*items)

    def hand_out_ahead(self, work: Work, load: Callable[[Lease], bytes | None]) -> bool:
        """Hand a turn that is not ready yet to the worker that had the last one.

        Whether it could be: not while anything of the instance is out or queued. What `load`
        raises is raised, and nothing is handed out.
        """
        key = work.key
        if self._is_draining or self._queue.has(key) or key in self._delayed:
            return False
        stream = self._queue.preferred(work) if self.leases.of(key) is None else None
        if stream is None or not stream.has_free_slot(work.kind):
            return False
        lease = self.leases.grant(self._new_token(work), work, stream)
        try:
            item = load(lease)
        except BaseException:
            self.leases.release(lease)
            raise
        if item is None or len(item) > stream.subscription.max_message:
            self.leases.release(lease)
            return False
        stream.send(item)
        return True

    def finish(self, lease: Lease) -> None:
        """End the lease of work that is completed."""
        if self._abandon_counts:
            self._abandon_counts.pop(lease.work.key, None)
        self._release(lease)
        if lease.next_work is not None:
            self.offer(lease.next_work)

    def commit_failed(self, lease: Lease) -> None:
        """Continue a lease whose completion could not be stored."""
        lease.committing = None
        if lease.stream.is_closed and not self._is_disconnected:
            self.redeliver(lease)

    def redeliver(self, lease: Lease) -> None:
        """Offer the work again at once, to the same worker too."""
        self._requeue(lease)
        self.dispatch()

    def abandon(self, lease: Lease) -> None:
        """Offer work again that its worker does not want, to other workers first."""
        self.instrumentation.work_abandoned(lease.work.kind.value)
        _log.debug("Worker abandoned a work item", extra=_log_fields(lease.work))
        if not self._release(lease):
            return
        key = lease.work.key
        count = self._abandon_counts[key] = self._abandon_counts.get(key, 0) + 1
        if count == 1:
            self._queue.add(lease.next_work or lease.work, avoided=lease.stream)
            self.dispatch()
        else:
            self._redeliver_later(lease, doublings=count - 2)

    def revoke(self, key: WorkKey) -> None:
        """Drop void work, wherever it is; work of that key may be offered anew at once.

        A worker that holds it keeps its slot until it has answered.
        """
        self._queue.drop(key)
        self._load_failures.recovered(key)
        self._abandon_counts.pop(key, None)
        delayed = self._delayed.pop(key, None)
        if delayed is not None:
            delayed.alarm.cancel()
        lease = self.leases.of(key)
        if lease is not None:
            lease.next_work = None
            self.leases.forget_work(lease)

    def revoke_all(self, hub: str) -> None:
        """Drop all work of the task hub."""
        delayed = [key for key in self._delayed if key[1] == hub]
        for key in (*self._queue.keys_of(hub), *delayed, *self.leases.keys_of(hub)):
            self.revoke(key)

    def forget_sessions(self, hub: str, instance_id: str | None = None) -> None:
        """Void the sessions that workers have of the instance, or of all instances."""
        for stream in self._streams:
            if stream.subscription.hub == hub:
                stream.sessions.forget(instance_id)

    def forget_affinity(self, hub: str, instance_id: str) -> None:
        """Forget which worker had the last turn of an instance, which has ended."""
        self._queue.forget_affinity(hub, instance_id)

    def _lease(self, work: Work, stream: WorkStream, now: datetime) -> bytes | None:
        """Lease the work to the stream; returns the item to send, or None if there is none."""
        lease = self.leases.grant(self._new_token(work), work, stream)
        try:
            item = self._load(lease, now)
        except Exception as error:  # noqa: BLE001 - one unreadable instance must not stop all others
            self._load_failures.record(error, work.key, _log_fields(work))
            self.leases.release(lease)
            self._redeliver_later(lease, doublings=3)
            return None
        if self._load_failures.is_failing:
            self._load_failures.recovered(work.key)
        if item is None:
            self._abandon_counts.pop(work.key, None)
            self.leases.release(lease)
        elif len(item) > stream.subscription.max_message:
            lease.committing = self._fail_too_large(lease, len(item))
        else:
            if work.kind is Kind.TURN:
                self._queue.set_affinity(work, stream)
            return item
        return None

    def _requeue(self, lease: Lease) -> None:
        if self._release(lease):
            self._queue.add(lease.next_work or lease.work)

    def _release(self, lease: Lease) -> bool:
        """End the lease; true when the work was not revoked or leased anew meanwhile."""
        is_current = self.leases.release(lease)
        self._lease_ended.set()
        return is_current

    def _redeliver_later(self, lease: Lease, doublings: int) -> None:
        delay = min(timedelta(seconds=2 ** min(doublings, 10)), _MAX_DELAY)
        work = lease.next_work or lease.work

        def redeliver() -> None:
            delayed = self._delayed.pop(work.key)
            self._queue.add(delayed.work, avoided=delayed.avoided)
            self.dispatch()

        alarm = self._clock.call_at(self._clock.now() + delay, redeliver)
        self._delayed[work.key] = _Delayed(work, lease.stream, alarm)

    def stats(self) -> WorkStats:
        """How many work items wait and are leased, and how many workers are connected."""
        waiting = self._queue.counts()
        waiting.update(kind for kind, *_ in self._delayed)
        leased = self.leases.counts()
        return WorkStats(
            {kind.value: count for kind, count in waiting.items()},
            {kind.value: count for kind, count in leased.items()},
            len(self._streams),
        )

    @property
    def is_queue_empty(self) -> bool:
        """Whether no work waits for a worker, or for a free slot of one."""
        return self._queue.is_empty()

    @property
    def is_idle(self) -> bool:
        """Whether no work is leased or queued; delayed work waits for time to pass."""
        return self._queue.is_empty() and not self.leases.is_any_out()

    def next_due(self) -> datetime | None:
        """When the first delayed work is redelivered; None without any."""
        return min((delayed.alarm.when for delayed in self._delayed.values()), default=None)
