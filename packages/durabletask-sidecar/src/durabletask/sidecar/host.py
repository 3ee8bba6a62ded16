"""Connect what runs on the sidecar's event loop: commits, workers and callers that wait.

    service --command--> group commit --notifications--> dispatcher, change waiters

Nothing is decided here: commands are carried out by the engine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .commit.committer import Submission
from .commit.group_commit import GroupCommit
from .commit.notifications import Kind
from .errors import ShuttingDownError
from .store import StoreError
from .work import completion_tokens
from .work.completions import Completions
from .work.dispatcher import Dispatcher
from .work.items import WorkItemSource
from .work.turns_ahead import TurnsAhead

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .clock import Clock
    from .commit.committer import Committer
    from .commit.flushing import Flushing
    from .commit.notifications import Notifications
    from .commit.pending_reply import PendingReply
    from .engine.commands import Command
    from .engine.entities.state import Entity
    from .engine.state import Instance
    from .engine.transition import Reply
    from .instrumentation import Instrumentation
    from .store import Reader


class Host:
    """One running engine, for any number of task hubs."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        flushing: Flushing | None = None,
        hold_clock: Clock | None = None,
    ) -> None:
        self.clock = clock
        self.link_clock: Clock = clock
        """The clock for pings, which go on while another clock stands still."""
        self.new_id = new_id
        self._waiters = ChangeWaiters()
        self._committer = committer
        self._commits = GroupCommit(
            committer, clock, new_id, self._publish, flushing, hold_clock=hold_clock
        )
        items = WorkItemSource(committer)
        self.dispatcher = Dispatcher(
            items.load,
            # A lambda, because the completions need the dispatcher first.
            lambda lease, size: self.completions.fail_too_large(lease, size),  # noqa: PLW0108
            clock,
            lambda work: completion_tokens.make(work, new_id()),
            committer.limits,
        )
        ahead = TurnsAhead(self.dispatcher, self._commits, committer, items, clock)
        self.completions = Completions(self.dispatcher, self._commits, committer, ahead)

    def instrument(self, instrumentation: Instrumentation) -> None:
        """Report to it what happens from now on."""
        for each in (self._commits, self.dispatcher, self.completions):
            each.instrumentation = instrumentation

    def start(self) -> None:
        """Offer the work that the store has, and set the timers."""
        self._commits.start()

    def disconnect(self) -> None:
        """End the streams of workers and the waits of callers; commits go on."""
        self.dispatcher.disconnect()
        self._waiters.close()

    def close(self) -> None:
        """Store what is pending, and stop the timers."""
        self._commits.close()

    async def execute(self, hub: str, instance_id: str, command: Command) -> Reply:
        """Carry out a command; return once it is stored."""
        return await self.submit(hub, instance_id, command)

    def submit(self, hub: str, instance_id: str, command: Command) -> PendingReply:
        """Carry out a command; the reply comes once it is stored."""
        return self._commits.submit(Submission(hub, instance_id, command))

    def submit_together(self, submit: Callable[[], None]) -> None:
        """Call `submit`, and store by one commit, at once, what it submits."""
        self._commits.submit_together(submit)

    @property
    def reader(self) -> Reader:
        """The committed state of all instances and entities."""
        return self._committer.reader

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        return self._committer.instance(hub, instance_id)

    def entity(self, hub: str, entity_id: str) -> Entity | None:
        return self._committer.entity(hub, entity_id)

    async def wait(
        self, hub: str, instance_id: str, is_reached: Callable[[Instance], bool]
    ) -> Instance | None:
        """Wait until `is_reached` is true of the instance; None as soon as there is none."""

        def is_over() -> bool:
            instance = self._committer.instance(hub, instance_id)
            return instance is None or is_reached(instance)

        while not is_over():
            await self._waiters.wait_changed(hub, instance_id, is_over)
        return self._committer.instance(hub, instance_id)

    def trim(self, most_bytes: int) -> bool:
        """Free at most this much unused space of the store; returns whether there is more."""
        self._commits.settle()
        return self._committer.trim(most_bytes)

    def wipe(self, hub: str) -> None:
        """Delete everything in the task hub; workers stay connected."""
        self._commits.settle()
        self._committer.wipe(hub)
        self.dispatcher.revoke_all(hub)
        self.dispatcher.forget_sessions(hub)
        self._waiters.wake_all(hub)

    def _publish(self, notifications: Notifications) -> None:
        for hub, instance_id in notifications.void_turns:
            self.dispatcher.revoke((Kind.TURN, hub, instance_id, ""))
            # Callers may give the next execution the id that this one had.
            self.dispatcher.forget_sessions(hub, instance_id)
        for hub, entity_id in notifications.void_batches:
            self.dispatcher.revoke((Kind.ENTITY, hub, entity_id, ""))
        for hub, instance_id, task_key in notifications.withdrawn:
            self.dispatcher.revoke((Kind.ACTIVITY, hub, instance_id, task_key))
        for hub, instance_id in notifications.ended:
            self.dispatcher.forget_affinity(hub, instance_id)
        for work in notifications.ready:
            self.dispatcher.offer(work)
        for hub, instance_id in notifications.changed:
            self._waiters.wake(hub, instance_id)
        self.dispatcher.dispatch()

    @property
    def is_idle(self) -> bool:
        """Whether nothing happens until the next call or timer."""
        return self._commits.is_idle and self.dispatcher.is_idle

    def next_due(self) -> datetime | None:
        """When something happens by the passing of time alone; None for never."""
        due = (self.reader.next_due(self.clock.now()), self.dispatcher.next_due())
        return min((each for each in due if each is not None), default=None)


def _always() -> bool:
    return True


class ChangeWaiters:
    """Callers that wait for an instance to change.

    Each costs one future. A commit that changes its instance wakes it, if what it waits for is
    the case then.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], dict[asyncio.Future[None], Callable[[], bool]]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """How many instances callers wait for."""
        return len(self._waiting)

    async def wait_changed(
        self, hub: str, instance_id: str, is_over: Callable[[], bool] = _always
    ) -> None:
        """Return after the next commit that changes the instance, and after which `is_over`."""
        if self._is_closed:
            raise ShuttingDownError
        future = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((hub, instance_id), {})
        waiting[future] = is_over
        try:
            await future
        finally:
            waiting.pop(future, None)
            if not waiting and self._waiting.get((hub, instance_id)) is waiting:
                del self._waiting[hub, instance_id]

    def wake(self, hub: str, instance_id: str) -> None:
        """Take note that a commit has changed the instance."""
        waiting = self._waiting.get((hub, instance_id))
        if waiting is None:
            return
        for future, is_over in waiting.items():
            if not future.done() and _is_true(is_over):
                future.set_result(None)

    def wake_all(self, hub: str) -> None:
        for waiting_hub, instance_id in [key for key in self._waiting if key[0] == hub]:
            self.wake(waiting_hub, instance_id)

    def close(self) -> None:
        """End all waits with ShuttingDownError, also those that begin later."""
        self._is_closed = True
        for waiting in self._waiting.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(ShuttingDownError())


def _is_true(is_over: Callable[[], bool]) -> bool:
    try:
        return is_over()
    except StoreError:
        # The caller will find out what cannot be read.
        return True
