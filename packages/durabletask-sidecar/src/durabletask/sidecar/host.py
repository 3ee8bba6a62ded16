"""Everything that lives on the sidecar's event loop, tied together.

    service --command--> group commit --notices--> dispatcher, waiters

Knows nothing about gRPC, and decides nothing: the engine does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import responses, tokens
from .committer import Submission
from .dispatcher import Dispatcher
from .engine.commands import CompleteActivity, CompleteTurn
from .group_commit import GroupCommit
from .waiters import Waiters
from .work import Kind, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol import messages

    from .clock import Clock
    from .committer import Committer, Notices
    from .engine.commands import Command
    from .engine.state import Instance
    from .engine.transition import Reply
    from .leases import Lease


class Host:
    """One engine at work, for any number of task hubs."""

    def __init__(self, committer: Committer, clock: Clock, new_id: Callable[[], str]) -> None:
        self.clock = clock
        self.new_id = new_id
        self.dispatcher = Dispatcher(self, clock, lambda work: tokens.make(work, new_id()))
        self._waiters = Waiters()
        self._committer = committer
        self._commits = GroupCommit(committer, clock, new_id, self._publish)

    def start(self) -> None:
        """Take up what the store remembers."""
        self._commits.start()

    def drain(self) -> None:
        """Send workers and waiters away; what is under way is still stored."""
        self.dispatcher.drain()
        self._waiters.close()

    def close(self) -> None:
        self._commits.close()

    async def execute(self, hub: str, instance_id: str, command: Command) -> Reply:
        """Carry out a command; return once it is stored."""
        return await self._commits.submit(Submission(hub, instance_id, command))

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        return self._committer.instance(hub, instance_id)

    async def wait(
        self, hub: str, instance_id: str, is_reached: Callable[[Instance], bool]
    ) -> Instance | None:
        """Wait until the instance is as wished; None as soon as there is no such instance."""
        while True:
            instance = self._committer.instance(hub, instance_id)
            if instance is None or is_reached(instance):
                return instance
            await self._waiters.wait_changed(hub, instance_id)

    async def complete_turn(self, hub: str, response: messages.OrchestratorResponse) -> None:
        """Commit what a worker decided; nothing happens when its lease is over."""
        token = response.completion_token
        lease = (
            self.dispatcher.find(token)
            if token
            else self.dispatcher.find_sole(Kind.TURN, hub, response.instance_id)
        )
        if lease is None or lease.turn is None:
            return
        if response.is_partial:
            # A part may come twice, when its worker did not hear that it arrived.
            number = len(lease.chunks) if response.chunk_index is None else response.chunk_index
            lease.chunks[number] = response
            return
        response = responses.joined(lease.chunks, response)
        if response.requires_history and not response.actions and lease.settling is None:
            self.dispatcher.redeliver(lease)
            return
        await self._settle(
            lease,
            CompleteTurn(
                lease.turn,
                response.actions,
                response.custom_status,
                response.orchestration_trace_context,
            ),
        )

    async def complete_activity(self, hub: str, response: messages.ActivityResponse) -> None:
        """Commit an activity's outcome, if its task is still outstanding.

        The lease need not be live: a worker that finished while its stream broke, or while
        the sidecar was started anew, must not do the work a second time.
        """
        token = response.completion_token
        if not token:
            lease = self.dispatcher.find_sole(
                Kind.ACTIVITY, hub, response.instance_id, response.task_id
            )
            token = "" if lease is None else lease.token
        task = tokens.task_of(token)
        if task is None:
            return
        command = CompleteActivity(task.key, response.result, response.failure_details)
        lease = self.dispatcher.find(token)
        if lease is None:
            await self.execute(task.hub, task.instance_id, command)
        else:
            await self._settle(lease, command)

    def abandon(self, kind: Kind, token: str) -> None:
        """Take back work that its worker does not want."""
        lease = self.dispatcher.find(token)
        if lease is not None and lease.work.kind is kind and lease.settling is None:
            self.dispatcher.abandon(lease)

    def load(self, lease: Lease) -> bytes | None:
        """Make the work item for a lease; None when there is nothing to do any more."""
        work = lease.work
        if work.task_key is not None:
            return self._committer.activity_work_item(
                work.hub, work.instance_id, work.task_key, token=lease.token
            )
        prepared = self._committer.prepare_turn(
            work.hub,
            work.instance_id,
            token=lease.token,
            now=self.clock.now(),
            room=lease.stream.appetite.max_message,
        )
        if prepared is None:
            return None
        lease.turn = prepared.turn
        return prepared.work_item

    def refuse(self, lease: Lease, size: int) -> asyncio.Future[Reply]:
        """Fail work that its worker could not receive; sent, it would break the stream."""
        failure = responses.too_large(size, lease.stream.appetite.max_message)
        command: Command
        if lease.turn is not None:
            command = CompleteTurn(lease.turn, [responses.failed(failure)])
        else:
            command = CompleteActivity(str(lease.work.task_key), failure=failure)
        return self._submit(lease, command, failed=self.dispatcher.abandon)

    async def _settle(self, lease: Lease, command: Command) -> None:
        """Store a completion; one that comes twice shares the fate of the first."""
        if lease.settling is None:
            lease.settling = self._submit(lease, command, failed=self.dispatcher.unsettle)
        # Who gives up waiting must not take the outcome from the others.
        await asyncio.shield(lease.settling)

    def _submit(
        self, lease: Lease, command: Command, *, failed: Callable[[Lease], None]
    ) -> asyncio.Future[Reply]:
        return self._commits.submit(
            Submission(lease.work.hub, lease.work.instance_id, command),
            stored=lambda: self.dispatcher.settle(lease),
            failed=lambda: failed(lease),
        )

    def _publish(self, notices: Notices) -> None:
        for hub, instance_id in notices.void_turns:
            self.dispatcher.revoke((Kind.TURN, hub, instance_id, None))
        for hub, instance_id, task_key in notices.withdrawn:
            self.dispatcher.revoke((Kind.ACTIVITY, hub, instance_id, task_key))
        for hub, instance_id in notices.ended:
            self.dispatcher.forget(hub, instance_id)
        for turn in notices.turns:
            self.dispatcher.offer(
                Work(Kind.TURN, turn.hub, turn.instance_id, turn.name, turn.version)
            )
        for task in notices.tasks:
            self.dispatcher.offer(
                Work(
                    Kind.ACTIVITY,
                    task.hub,
                    task.instance_id,
                    task.name,
                    task.version,
                    task.task_key,
                    task.task_id,
                )
            )
        for hub, instance_id in notices.changed:
            self._waiters.wake(hub, instance_id)
        self.dispatcher.pump()
