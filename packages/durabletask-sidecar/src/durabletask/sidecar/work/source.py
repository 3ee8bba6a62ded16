"""Make the work items that the dispatcher hands out, each as its worker can take it.

Knows nothing about who gets which work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol.dialects import DAPR, TASKHUB
from durabletask.sidecar.commit.notifications import Kind

from .items import WHOLE, HistoryForm, TurnForm

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from durabletask.sidecar.clock import Clock
    from durabletask.sidecar.commit.committer import Committer
    from durabletask.sidecar.engine.transition import Reply

    from .leases import Lease


class Source:
    """The dispatcher's `WorkSource`."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        refuse: Callable[[Lease, int], asyncio.Future[Reply]],
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._refuse = refuse

    def load(self, lease: Lease) -> bytes | None:
        """Make the work item for a lease; None when there is nothing to do any more."""
        match lease.work.kind:
            case Kind.TURN:
                return self._turn(lease)
            case Kind.ENTITY:
                return self._batch(lease)
            case Kind.ACTIVITY:
                return self._activity(lease)

    def refuse(self, lease: Lease, size: int) -> asyncio.Future[Reply]:
        """Fail the work instead of sending it: its worker does not accept that many bytes."""
        return self._refuse(lease, size)

    def _turn(self, lease: Lease) -> bytes | None:
        work = lease.work
        form = self._form(lease)
        lease.has_history = form.history is HistoryForm.WHOLE
        prepared = self._committer.prepare_turn(
            work.hub,
            work.instance_id,
            token=lease.token,
            now=self._clock.now(),
            room=lease.stream.appetite.max_message,
            form=form,
        )
        if prepared is None:
            return None
        lease.turn = prepared.turn
        lease.committed = prepared.committed
        return prepared.work_item

    def _form(self, lease: Lease) -> TurnForm:
        """How the worker wants the history: whole, not what it knows, or to fetch by itself."""
        stream, work = lease.stream, lease.work
        instance = self._committer.instance(work.hub, work.instance_id)
        if instance is None:
            return WHOLE
        known = stream.sessions.known(work.instance_id, instance.origin.execution_id)
        if stream.appetite.is_daprs:
            is_known = 0 < known.events <= instance.progress.history_length
            return TurnForm(DAPR, HistoryForm.CONTINUED, known) if is_known else TurnForm(DAPR)
        if known.events and known.events == instance.progress.history_length:
            return TurnForm(TASKHUB, HistoryForm.LEFT_OUT)
        return TurnForm(TASKHUB, HistoryForm.FETCHED) if stream.appetite.fetches_history else WHOLE

    def _batch(self, lease: Lease) -> bytes | None:
        work = lease.work
        appetite = lease.stream.appetite
        prepared = self._committer.prepare_batch(
            work.hub,
            work.instance_id,
            token=lease.token,
            now=self._clock.now(),
            room=appetite.max_message,
            in_older_form=appetite.older_batches,
        )
        if prepared is None:
            return None
        lease.batch = prepared.batch
        return prepared.work_item

    def _activity(self, lease: Lease) -> bytes | None:
        work = lease.work
        return self._committer.activity_work_item(
            work.hub,
            work.instance_id,
            work.task_key,
            token=lease.token,
            dialect=DAPR if lease.stream.appetite.is_daprs else TASKHUB,
        )
