"""Commit the completions of work, and end the leases that they complete.

A completion that comes too late, twice, or for work that is gone changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.sidecar.commit.committer import Submission
from durabletask.sidecar.commit.notifications import Kind
from durabletask.sidecar.engine import turns
from durabletask.sidecar.engine.commands import CompleteActivity, CompleteTurn
from durabletask.sidecar.engine.entities import batches
from durabletask.sidecar.engine.entities.commands import CompleteBatch
from durabletask.sidecar.engine.failure_details import fail_orchestration
from durabletask.sidecar.engine.transition import ACCEPTED, Accepted, InvalidArgument
from durabletask.sidecar.instrumentation import NO_INSTRUMENTATION
from durabletask.sidecar.store import StoreError

from . import completion_tokens, responses
from .responses import ResponseChunks
from .sessions import KnownHistory

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.protocol import messages
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.commit.group_commit import GroupCommit
    from durabletask.sidecar.commit.notifications import Work
    from durabletask.sidecar.commit.pending_reply import PendingReply
    from durabletask.sidecar.engine.commands import DispatchedTurn
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.instrumentation import Completion, Instrumentation

    from .dispatcher import Dispatcher
    from .leases import Lease
    from .turns_ahead import TurnsAhead


class Completions:
    """Completes, abandons and fails work that is leased."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        commits: GroupCommit,
        committer: Committer,
        ahead: TurnsAhead,
    ) -> None:
        self._dispatcher = dispatcher
        self._leases = dispatcher.leases
        self._commits = commits
        self._committer = committer
        self._ahead = ahead
        self.instrumentation: Instrumentation = NO_INSTRUMENTATION

    def find_turn(self, hub: str, token: str, instance_id: str) -> Lease | None:
        """The lease that a completion of a turn is for; None when it is over."""
        if token:
            return self._find(hub, token)
        return self._leases.find_only(Kind.TURN, hub, instance_id)

    def _find(self, hub: str, token: str) -> Lease | None:
        """The lease with that token, unless it is of another task hub."""
        lease = self._leases.find(token)
        return lease if lease is not None and lease.work.hub == hub else None

    async def complete_turn(
        self, hub: str, response: messages.OrchestratorResponse, lease: Lease | None = None
    ) -> None:
        """Commit the actions of a turn; nothing happens when its lease is over.

        `lease` is what `find_turn` has found for the response, if the caller has it already.
        """
        await _stored(self.submit_turn(hub, response, lease))

    def submit_turn(
        self, hub: str, response: messages.OrchestratorResponse, lease: Lease | None = None
    ) -> PendingReply | None:
        """The same without waiting: None when there is nothing to wait for."""
        if lease is None:
            lease = self.find_turn(hub, response.completion_token, response.instance_id)
        if lease is None or lease.turn is None:
            return None
        if response.is_partial or lease.chunks is not None:
            joined = self._joined(lease, response)
            if joined is None:
                return None
            response = joined
        if response.requires_history and not response.actions and lease.committing is None:
            self._redeliver_with_history(lease)
            return None
        return self._commit(
            lease,
            CompleteTurn(
                lease.turn,
                response.actions,
                response.custom_status,
                response.orchestration_trace_context,
                response.version,
                keeps_status=lease.stream.subscription.is_dapr,
            ),
        )

    def _joined(
        self, lease: Lease, response: messages.OrchestratorResponse
    ) -> messages.OrchestratorResponse | None:
        """The whole response, if this is the last of its chunks."""
        if lease.chunks is None:
            lease.chunks = ResponseChunks()
        if response.is_partial:
            lease.chunks.add(response, self._committer.limits)
            return None
        return lease.chunks.joined(response, self._committer.limits)

    def _redeliver_with_history(self, lease: Lease) -> None:
        """Send the turn again with its history, to a worker that has lost its session."""
        lease.stream.sessions.forget(lease.work.instance_id)
        if lease.has_history:
            # Redelivered at once, it would come back at once, forever.
            self._dispatcher.abandon(lease)
        else:
            self._dispatcher.redeliver(lease)

    async def complete_activity(self, hub: str, response: messages.ActivityResponse) -> None:
        """Commit an activity's outcome, if its task is still outstanding.

        The lease may be over: a worker that finished while its stream broke, or while the
        sidecar restarted, must not do the work a second time.
        """
        await _stored(self.submit_activity(hub, response))

    def submit_activity(self, hub: str, response: messages.ActivityResponse) -> PendingReply | None:
        """The same without waiting: None when there is nothing to wait for."""
        token = response.completion_token
        if token:
            lease = self._find(hub, token)
        else:
            lease = self._leases.find_only(
                Kind.ACTIVITY, hub, response.instance_id, response.task_id
            )
        if lease is None:
            return self._complete_unleased(hub, response)
        if lease.work.kind is not Kind.ACTIVITY:
            return None
        task_key = lease.work.task_key
        command = CompleteActivity(task_key, response.result, response.failure_details)
        return self._commit(lease, command)

    def _complete_unleased(
        self, hub: str, response: messages.ActivityResponse
    ) -> PendingReply | None:
        task = completion_tokens.task_of(response.completion_token)
        # Anybody can make a token up. It must not reach into another task hub than the caller's.
        if task is None or task.hub != hub:
            return None
        command = CompleteActivity(task.key, response.result, response.failure_details)
        return self._commits.submit(
            Submission(task.hub, task.instance_id, command),
            stored=lambda reply: self._report(Kind.ACTIVITY, command, reply),
        )

    async def complete_batch(self, hub: str, result: messages.EntityBatchResult) -> Reply:
        """Commit what the operations of an entity did; nothing when the lease is over."""
        token = result.completion_token
        lease = self._find(hub, token) if token else self._leases.find_only(Kind.ENTITY, hub)
        if lease is None and not token:
            # Ignored silently, the batch would be leased forever.
            return InvalidArgument(
                "the result has no completion token, and more or less than one batch is leased; "
                "send the completion token of the work item"
            )
        if lease is None or lease.batch is None:
            return ACCEPTED
        if not result.results and result.failure_details is None:
            # Nothing was run. Redelivered at once, it would come back forever.
            self._abandon(lease)
            return ACCEPTED
        command = CompleteBatch(
            lease.batch,
            result.results,
            result.actions,
            result.entity_state,
            result.failure_details,
        )
        await _stored(self._commit(lease, command))
        return ACCEPTED

    def abandon(self, hub: str, kind: Kind, token: str) -> None:
        """Take work back from its worker, to offer it again."""
        lease = self._find(hub, token)
        if lease is not None and lease.work.kind is kind:
            self._abandon(lease)

    def _abandon(self, lease: Lease) -> None:
        if lease.committing is None:
            self._dispatcher.abandon(lease)

    def fail_too_large(self, lease: Lease, size: int) -> PendingReply:
        """Fail work that its worker cannot receive; sending it would break the stream."""
        failure = responses.too_large(size, lease.stream.subscription.max_message)
        command: Completion
        if lease.turn is not None:
            command = CompleteTurn(lease.turn, [fail_orchestration(failure)])
        elif lease.batch is not None:
            command = CompleteBatch(lease.batch, (), (), failure=failure)
        else:
            command = CompleteActivity(lease.work.task_key, failure=failure)
        return self._submit(lease, command, failed=self._dispatcher.abandon)

    def _commit(self, lease: Lease, command: Completion) -> PendingReply:
        """Store a completion; a second one has the outcome of the first."""
        if lease.committing is None:
            at = None
            if isinstance(command, CompleteActivity):
                at = self._ahead.hand_out(lease.work, command)
            if at is not None:
                lease.committing = self._hold(lease, command, at)
            elif self._commits.may_hold and self._is_unheard(lease, command):
                lease.committing = self._hold(lease, command, None)
            else:
                failed = self._dispatcher.commit_failed
                lease.committing = self._submit(lease, command, failed=failed)
        return lease.committing

    def _is_unheard(self, lease: Lease, command: Completion) -> bool:
        """Whether nobody notices when it is stored: neither who waits, nor work without a slot."""
        if lease.next_work is not None or not self._dispatcher.is_queue_empty:
            return False
        try:
            return self._is_without_effect(lease.work, command)
        except StoreError:
            # The commit finds out what cannot be read, and says so.
            return False

    def _is_without_effect(self, work: Work, command: Completion) -> bool:
        if isinstance(command, CompleteTurn):
            instance = self._committer.instance(work.hub, work.instance_id)
            return instance is not None and turns.is_unheard(instance, command)
        if isinstance(command, CompleteBatch):
            entity = self._committer.entity(work.hub, work.instance_id)
            return entity is not None and batches.is_unheard(entity, command)
        return False

    def _submit(
        self, lease: Lease, command: Completion, *, failed: Callable[[Lease], None]
    ) -> PendingReply:
        leased = _LeasedCompletion(lease, command, self._note_stored, failed)
        submission = Submission(lease.work.hub, lease.work.instance_id, command)
        return self._commits.submit(submission, stored=leased.stored, failed=leased.failed)

    def _hold(self, lease: Lease, command: Completion, at: datetime | None) -> PendingReply:
        """Store it with what is submitted next, or with the turn handed out ahead of it `at`."""
        leased = _LeasedCompletion(
            lease, command, self._note_stored, self._dispatcher.commit_failed
        )
        submission = Submission(lease.work.hub, lease.work.instance_id, command, at)
        return self._commits.hold(
            submission, stored=leased.stored, failed=leased.failed, for_any=at is None
        )

    def _report(self, kind: Kind, completion: Completion, reply: Reply) -> None:
        if self.instrumentation is not NO_INSTRUMENTATION and isinstance(reply, Accepted):
            self.instrumentation.work_completed(kind.value, completion)

    def _note_stored(self, lease: Lease, completion: Completion, reply: Reply) -> None:
        self._report(lease.work.kind, completion, reply)
        if lease.turn is not None and lease.stream.subscription.keeps_sessions:
            if isinstance(reply, Accepted):
                self._record_session(lease, lease.turn)
            else:
                # The worker goes on from a turn that has never been.
                lease.stream.sessions.forget(lease.work.instance_id)
        self._dispatcher.finish(lease)

    def _record_session(self, lease: Lease, turn: DispatchedTurn) -> None:
        """Record how much of the history the worker has cached after its turn."""
        work, sessions = lease.work, lease.stream.sessions
        instance = self._committer.instance(work.hub, work.instance_id)
        is_live = instance is not None and instance.is_live
        if instance is not None and is_live and instance.origin.execution_id == turn.execution_id:
            # Dapr's workers keep the history they were sent, this SDK's the new events too.
            length = instance.progress.history_length
            known = lease.committed if lease.stream.subscription.is_dapr else KnownHistory(length)
            sessions.record(work.instance_id, turn.execution_id, known)
        else:
            sessions.forget(work.instance_id)


class _LeasedCompletion:
    """A completion that is being stored, and what is done when that is over."""

    __slots__ = ("_command", "_lease", "_note_failed", "_note_stored")

    def __init__(
        self,
        lease: Lease,
        command: Completion,
        note_stored: Callable[[Lease, Completion, Reply], None],
        note_failed: Callable[[Lease], None],
    ) -> None:
        self._lease = lease
        self._command = command
        self._note_stored = note_stored
        self._note_failed = note_failed

    def stored(self, reply: Reply) -> None:
        self._note_stored(self._lease, self._command, reply)

    def failed(self) -> None:
        self._note_failed(self._lease)


async def _stored(committing: PendingReply | None) -> None:
    if committing is not None:
        await committing
