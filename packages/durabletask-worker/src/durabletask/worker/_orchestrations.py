"""Handle orchestrator work items: run one turn, and keep the orchestration in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from durabletask import failures
from durabletask.core.orchestration import (
    is_rewind,
    open_machine,
    rewind,
    version_mismatch,
    version_not_available,
)
from durabletask.core.versioning import mismatch, version_of
from durabletask.failures import DurableTaskError
from durabletask.protocol import messages, methods, work_items

from ._log_errors import log_errors_ignored
from ._sessions import Session, SessionCache
from ._work_items import Completion, WorkItem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from durabletask.core.decision import Decision
    from durabletask.core.registry import Registry
    from durabletask.core.versioning import VersioningOptions
    from durabletask.protocol.dialects import Dialect

    from ._options import Logger

    History = list[messages.HistoryEvent]


class HistoryUnavailableError(DurableTaskError):
    """The engine left out history that this worker does not have, and did not send it either."""


# Not frozen: see `WorkItem`.
@dataclass(slots=True)
class OrchestrationJob:
    """An orchestrator work item; the thread that takes it decodes it.

    `history` is what the engine left out of it, once that has been fetched.
    """

    item: WorkItem
    history: History | None = None


class OrchestrationHandler:
    """Does orchestrator work items, on threads without an event loop.

    `fetch_history` gives the history of an instance, for work items that come without.
    """

    def __init__(
        self,
        registry: Registry,
        sessions: SessionCache,
        log: Logger,
        *,
        fetch_history: Callable[[str], Awaitable[History]],
        versioning: VersioningOptions | None,
    ) -> None:
        self._registry = registry
        self._fetch_history = fetch_history
        self._versioning = versioning
        self._sessions = sessions
        self._log = log

    def prepare(self, item: WorkItem) -> OrchestrationJob:
        return OrchestrationJob(item)

    def coroutine(
        self, _job: OrchestrationJob
    ) -> Coroutine[Any, Any, Completion | OrchestrationJob] | None:
        return None

    def perform(
        self, job: OrchestrationJob
    ) -> Completion | Coroutine[Any, Any, Completion | OrchestrationJob]:
        item = job.item
        session = self._sessions.check_out(item.peek)
        if session is not None:
            return self._continue(session, item)
        if item.peek.kept and job.history is None:
            return self._with_history(item)
        return self._replay(item, job.history)

    def abandon(self, item: WorkItem) -> Completion:
        request = messages.AbandonOrchestrationTaskRequest(completion_token=item.token)
        return Completion(item, methods.ABANDON_ORCHESTRATION_TASK, request)

    def _continue(self, session: Session, item: WorkItem) -> Completion:
        """Take the turn with the events that the machine has not processed."""
        try:
            past = self._unprocessed(session, item)
            new = item.peek.new_events.decode(item.engine.dialect)
        except BaseException:
            session.close()
            raise
        if any(event.execution_rewound is not None for event in new):
            # A rewind changes history that the machine has processed: all of it is needed.
            session.close()
            return self._replay(item)
        return self._run_turn(session, item, past, new)

    def _unprocessed(self, session: Session, item: WorkItem) -> History:
        peek, machine = item.peek, session.machine
        if peek.left_out is None:
            return peek.past_events.decode(item.engine.dialect, skip=machine.applied - peek.kept)
        machine.confirm_all()
        return []

    async def _with_history(self, item: WorkItem) -> OrchestrationJob:
        """The job with the events that the engine left out."""
        history = await self._fetch_history(item.instance_id)
        left_out = item.peek.kept
        if len(history) < left_out:
            raise HistoryUnavailableError(
                f"Instance '{item.instance_id}': {item.engine.name} left out {left_out} history "
                f"events, and sent only {len(history)} when it was asked for them."
            )
        return OrchestrationJob(item, history[:left_out])

    def _replay(self, item: WorkItem, history: History | None = None) -> Completion:
        if item.peek.left_out is not None:
            return self._request_history(item)
        request = self._request(item)
        if history:
            request.past_events = [*history, *request.past_events]
        if self._versioning is not None:
            version = version_of(chain(request.past_events, request.new_events))
            if reason := mismatch(version, self._versioning):
                return self._refuse(item, reason, self._versioning)
        if is_rewind(request):
            return self._complete(item, rewind(request, self._registry, item.engine.settings))
        machine = open_machine(request, self._registry, item.engine.settings)
        session = Session(item.instance_id, item.peek.execution_id, machine)
        return self._run_turn(session, item, request.past_events, request.new_events)

    def _run_turn(
        self, session: Session, item: WorkItem, past: History, new: History
    ) -> Completion:
        try:
            session.machine.replay(past)
            decision = session.machine.turn(new)
        except BaseException:
            session.close()
            raise
        session.remember_batch(
            item.peek, version_recorded_in=self._version_recorded_in(item, decision)
        )
        # A machine that has ended has closed itself.
        if not decision.ended:
            self._sessions.check_in(session)
        return self._complete(item, decision)

    def _version_recorded_in(self, item: WorkItem, decision: Decision) -> Dialect | None:
        records = item.engine.settings.engine.records_versions
        return item.engine.dialect if records and decision.is_versioned else None

    def _complete(self, item: WorkItem, decision: Decision) -> Completion:
        for entry in decision.log_entries:
            with log_errors_ignored():
                self._log.log(
                    entry.level,
                    "%s",
                    entry.text,
                    exc_info=entry.error,
                    extra={**item.log_fields, **entry.extra},
                )
        return Completion(
            item,
            methods.COMPLETE_ORCHESTRATOR_TASK,
            decision.response(item, item.token),
            fallback=partial(self._failed, item),
        )

    def _refuse(self, item: WorkItem, reason: str, versioning: VersioningOptions) -> Completion:
        if not versioning.rejects:
            return self._complete(item, version_mismatch(item.instance_id, reason))
        with log_errors_ignored():
            self._log.warning(
                "Instance '%s': the work item is handed back for another worker. %s",
                item.instance_id,
                reason,
                extra=item.log_fields,
            )
        if not item.engine.supports(methods.ABANDON_ORCHESTRATION_TASK):
            return self._complete(item, version_not_available())
        return self.abandon(item)

    def _request_history(self, item: WorkItem) -> Completion:
        response = messages.OrchestratorResponse(
            instance_id=item.instance_id, completion_token=item.token, requires_history=True
        )
        return Completion(item, methods.COMPLETE_ORCHESTRATOR_TASK, response)

    def _request(self, item: WorkItem) -> messages.OrchestratorRequest:
        return work_items.decode_request(
            messages.OrchestratorRequest, item.raw, item.peek.request, item.engine.dialect
        )

    def _failed(self, item: WorkItem, reason: Exception) -> Completion:
        """The orchestration fails, because the sidecar cannot accept what it decided."""
        # The machine has processed a turn that will not be committed.
        self._sessions.evict(item.instance_id)
        error = type(reason)(f"The orchestrator's turn cannot be stored: {reason}")
        completion = messages.CompleteOrchestrationAction(
            orchestration_status=messages.OrchestrationStatus.FAILED,
            failure_details=failures.to_message(failures.details_from_exception(error)),
        )
        response = messages.OrchestratorResponse(
            instance_id=item.instance_id,
            completion_token=item.token,
            # -1: user code did not request this action.
            actions=[messages.OrchestratorAction(id=-1, complete_orchestration=completion)],
        )
        return Completion(item, methods.COMPLETE_ORCHESTRATOR_TASK, response)
