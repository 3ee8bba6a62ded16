"""Take what workers answer to their work, and commit it.

An answer that comes too late, twice, or for work that is gone changes nothing.

Knows nothing about gRPC, and decides nothing: the engine does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.committer import Submission
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine.commands import CompleteActivity, CompleteTurn
from durabletask.sidecar.engine.entities.commands import CompleteBatch
from durabletask.sidecar.engine.failure_details import fail_orchestration
from durabletask.sidecar.engine.transition import ACCEPTED, Accepted, InvalidArgument
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION

from . import completion_tokens, responses
from .sessions import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol import messages
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.commit.group_commit import GroupCommit
    from durabletask.sidecar.engine.commands import DispatchedTurn
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.instrumentation import Completion, Instrumentation

    from .dispatcher import Dispatcher
    from .leases import Lease


class Completions:
    """Everything that ends a lease, or refuses to."""

    def __init__(self, dispatcher: Dispatcher, commits: GroupCommit, committer: Committer) -> None:
        self._dispatcher = dispatcher
        self._commits = commits
        self._committer = committer
        self.instrumentation: Instrumentation = NO_INSTRUMENTATION

    def find_turn(self, hub: str, token: str, instance_id: str) -> Lease | None:
        """The lease that a completion of a turn is for; None when it is over."""
        if token:
            return self._find(hub, token)
        return self._dispatcher.find_sole(Kind.TURN, hub, instance_id)

    def _find(self, hub: str, token: str) -> Lease | None:
        """The lease of that token, as far as callers of this task hub are concerned."""
        lease = self._dispatcher.find(token)
        return lease if lease is not None and lease.work.hub == hub else None

    async def complete_turn(
        self, hub: str, response: messages.OrchestratorResponse, lease: Lease | None = None
    ) -> None:
        """Commit the actions of a turn; nothing happens when its lease is over.

        `lease` is what `find_turn` has found for the response, if the caller has it already.
        """
        if lease is None:
            lease = self.find_turn(hub, response.completion_token, response.instance_id)
        if lease is None or lease.turn is None:
            return
        if response.is_partial:
            lease.parts.add(response, self._committer.limits)
            return
        response = lease.parts.joined(response, self._committer.limits)
        if response.requires_history and not response.actions and lease.settling is None:
            self._send_whole(lease)
            return
        await self._settle(
            lease,
            CompleteTurn(
                lease.turn,
                response.actions,
                response.custom_status,
                response.orchestration_trace_context,
                response.version,
                keeps_status=lease.stream.appetite.is_daprs,
            ),
        )

    def _send_whole(self, lease: Lease) -> None:
        """Send the turn again with its history, to a worker that has lost its session."""
        lease.stream.sessions.forget(lease.work.instance_id)
        if lease.has_history:
            # Sent again at once, it would be asked for again at once, for ever.
            self._dispatcher.abandon(lease)
        else:
            self._dispatcher.redeliver(lease)

    async def complete_activity(self, hub: str, response: messages.ActivityResponse) -> None:
        """Commit an activity's outcome, if its task is still outstanding.

        The lease need not be live: a worker that finished while its stream broke, or while
        the sidecar was started anew, must not do the work a second time.
        """
        token = response.completion_token
        if token:
            lease = self._find(hub, token)
        else:
            lease = self._dispatcher.find_sole(
                Kind.ACTIVITY, hub, response.instance_id, response.task_id
            )
        if lease is None:
            await self._complete_unleased(hub, response)
        elif lease.work.kind is Kind.ACTIVITY:
            task_key = lease.work.task_key
            command = CompleteActivity(task_key, response.result, response.failure_details)
            await self._settle(lease, command)

    async def _complete_unleased(self, hub: str, response: messages.ActivityResponse) -> None:
        task = completion_tokens.task_of(response.completion_token)
        # Anybody can make a token up. It must not reach into another task hub than the caller's.
        if task is None or task.hub != hub:
            return
        command = CompleteActivity(task.key, response.result, response.failure_details)
        await self._commits.submit(
            Submission(task.hub, task.instance_id, command),
            stored=lambda reply: self._tell(Kind.ACTIVITY, command, reply),
        )

    async def complete_batch(self, hub: str, result: messages.EntityBatchResult) -> Reply:
        """Commit what the operations of an entity did; nothing when the lease is over."""
        token = result.completion_token
        lease = self._find(hub, token) if token else self._dispatcher.find_sole(Kind.ENTITY, hub)
        if lease is None and not token:
            # Dropped in silence, the batch would be out for ever.
            return InvalidArgument("the result has no completion token, and nothing else names it")
        if lease is None or lease.batch is None:
            return ACCEPTED
        if not result.results and result.failure_details is None:
            # Nothing was run. Sent again at once, it would come back for ever.
            self._abandon(lease)
            return ACCEPTED
        await self._settle(
            lease,
            CompleteBatch(
                lease.batch,
                result.results,
                result.actions,
                result.entity_state,
                result.failure_details,
            ),
        )
        return ACCEPTED

    def abandon(self, hub: str, kind: Kind, token: str) -> None:
        """Take back work that its worker does not want."""
        lease = self._find(hub, token)
        if lease is not None and lease.work.kind is kind:
            self._abandon(lease)

    def _abandon(self, lease: Lease) -> None:
        if lease.settling is None:
            self._dispatcher.abandon(lease)

    def refuse(self, lease: Lease, size: int) -> asyncio.Future[Reply]:
        """Fail work that its worker could not receive; sent, it would break the stream."""
        failure = responses.too_large(size, lease.stream.appetite.max_message)
        command: Completion
        if lease.turn is not None:
            command = CompleteTurn(lease.turn, [fail_orchestration(failure)])
        elif lease.batch is not None:
            command = CompleteBatch(lease.batch, (), (), failure=failure)
        else:
            command = CompleteActivity(lease.work.task_key, failure=failure)
        return self._submit(lease, command, failed=self._dispatcher.abandon)

    async def _settle(self, lease: Lease, command: Completion) -> None:
        """Store a completion; one that comes twice shares the fate of the first."""
        if lease.settling is None:
            lease.settling = self._submit(lease, command, failed=self._dispatcher.unsettle)
        # Who gives up waiting must not take the outcome from the others.
        await asyncio.shield(lease.settling)

    def _submit(
        self, lease: Lease, command: Completion, *, failed: Callable[[Lease], None]
    ) -> asyncio.Future[Reply]:
        return self._commits.submit(
            Submission(lease.work.hub, lease.work.instance_id, command),
            stored=lambda reply: self._stored(lease, command, reply),
            failed=lambda: failed(lease),
        )

    def _tell(self, kind: Kind, completion: Completion, reply: Reply) -> None:
        if isinstance(reply, Accepted):
            self.instrumentation.work_completed(kind.value, completion)

    def _stored(self, lease: Lease, completion: Completion, reply: Reply) -> None:
        self._tell(lease.work.kind, completion, reply)
        is_taken = isinstance(reply, Accepted)
        if lease.turn is not None and is_taken and lease.stream.appetite.keeps_sessions:
            self._note_session(lease, lease.turn)
        self._dispatcher.settle(lease)

    def _note_session(self, lease: Lease, turn: DispatchedTurn) -> None:
        """Take note of what the worker has warm now, or has not any more."""
        work, sessions = lease.work, lease.stream.sessions
        instance = self._committer.instance(work.hub, work.instance_id)
        is_live = instance is not None and instance.is_live
        if instance is not None and is_live and instance.origin.execution_id == turn.execution_id:
            # Dapr's workers keep what they were told is committed, ours what they decided too.
            length = instance.progress.history_length
            known = lease.committed if lease.stream.appetite.is_daprs else Known(length)
            sessions.note(work.instance_id, turn.execution_id, known)
        else:
            sessions.forget(work.instance_id)
