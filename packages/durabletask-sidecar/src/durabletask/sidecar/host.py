"""Everything that lives on the sidecar's event loop, tied together.

    service --command--> group commit --notifications--> dispatcher, waiters

Knows nothing about gRPC, and decides nothing: the engine does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .change_waiters import Waiters
from .commit.committer import Submission
from .commit.group_commit import GroupCommit
from .commit.notifications import Kind
from .work import completion_tokens
from .work.completions import Completions
from .work.dispatcher import Dispatcher
from .work.items import WorkItemSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .clock import Clock
    from .commit.committer import Committer
    from .commit.notifications import Notifications
    from .engine.commands import Command
    from .engine.entities.state import Entity
    from .engine.state import Instance
    from .engine.transition import Reply
    from .instrumentation import Instrumentation, WorkStats
    from .store import Reader


class Host:
    """One engine at work, for any number of task hubs."""

    def __init__(self, committer: Committer, clock: Clock, new_id: Callable[[], str]) -> None:
        self.clock = clock
        self.link_clock: Clock = clock
        """What the life of a connection is measured by."""
        self.new_id = new_id
        self._waiters = Waiters()
        self._committer = committer
        self._commits = GroupCommit(committer, clock, new_id, self._publish)
        self.items = WorkItemSource(committer)
        self.dispatcher = Dispatcher(
            self.items.load,
            # Not there yet: completions end what the dispatcher hands out.
            lambda lease, size: self.completions.refuse(lease, size),  # noqa: PLW0108
            clock,
            lambda work: completion_tokens.make(work, new_id()),
            committer.limits,
        )
        self.completions = Completions(self.dispatcher, self._commits, committer)

    def instrument(self, instrumentation: Instrumentation) -> None:
        """Let somebody count what happens from now on."""
        for each in (self._commits, self.dispatcher, self.completions):
            each.instrumentation = instrumentation

    def stats(self) -> WorkStats:
        """How much work waits, and how much is out."""
        return self.dispatcher.stats()

    def start(self) -> None:
        """Take up what the store remembers."""
        self._commits.start()

    def retire(self) -> None:
        """Hand no more work out; everything else goes on."""
        self.dispatcher.retire()

    async def wait_returned(self) -> None:
        """Return once no worker owes an answer."""
        await self.dispatcher.wait_returned()

    def drain(self) -> None:
        """Send workers and waiters away; what is under way is still stored."""
        self.dispatcher.drain()
        self._waiters.close()

    def close(self) -> None:
        self._commits.close()

    async def execute(self, hub: str, instance_id: str, command: Command) -> Reply:
        """Carry out a command; return once it is stored."""
        return await self._commits.submit(Submission(hub, instance_id, command))

    @property
    def reader(self) -> Reader:
        """All that is committed."""
        return self._committer.reader

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        return self._committer.instance(hub, instance_id)

    def entity(self, hub: str, entity_id: str) -> Entity | None:
        return self._committer.entity(hub, entity_id)

    async def wait(
        self, hub: str, instance_id: str, is_reached: Callable[[Instance], bool]
    ) -> Instance | None:
        """Wait until the instance is as wished; None as soon as there is no such instance."""
        while True:
            instance = self._committer.instance(hub, instance_id)
            if instance is None or is_reached(instance):
                return instance
            await self._waiters.wait_changed(hub, instance_id)

    def trim(self, most_bytes: int) -> bool:
        """Give up to so much unused space of the store back; whether there is more."""
        return self._committer.trim(most_bytes)

    def wipe(self, hub: str) -> None:
        """Forget everything in the task hub; workers stay connected."""
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
            self.dispatcher.forget(hub, instance_id)
        for work in notifications.ready:
            self.dispatcher.offer(work)
        for hub, instance_id in notifications.changed:
            self._waiters.wake(hub, instance_id)
        self.dispatcher.pump()

    @property
    def is_idle(self) -> bool:
        """Whether nothing happens any more until somebody calls, or time passes."""
        return self._commits.is_idle and self.dispatcher.is_idle

    def next_due(self) -> datetime | None:
        """When time alone makes something happen; None when it never does."""
        due = (self._committer.next_due(self.clock.now()), self.dispatcher.next_due())
        return min((each for each in due if each is not None), default=None)
