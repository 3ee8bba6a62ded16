"""One turn of an orchestration: work item in, decision out, the machine kept warm.

Knows nothing about streams and delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
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

from ._sessions import Session, Sessions
from ._work import Answer, WorkItem

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Coroutine

    from durabletask.core.decision import Decision
    from durabletask.core.registry import Registry
    from durabletask.core.versioning import VersioningOptions
    from durabletask.protocol.dialects import Dialect

    History = list[messages.HistoryEvent]


class HistoryUnknownError(DurableTaskError):
    """A turn came without the history before it, and the engine did not tell that either."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An orchestrator work item; the thread that takes it decodes it.

    `history` is what the engine left out of it, once that has been fetched.
    """

    item: WorkItem
    history: History | None = None


class Orchestrations:
    """Does orchestrator work items, on threads without an event loop.

    `fetch` gives the history of an instance, for turns that come without.
    """

    def __init__(
        self,
        registry: Registry,
        sessions: Sessions,
        log: logging.Logger,
        *,
        fetch: Callable[[str], Awaitable[History]],
        versioning: VersioningOptions | None,
    ) -> None:
        self._registry = registry
        self._fetch = fetch
        self._versioning = versioning
        self._sessions = sessions
        self._log = log

    def prepare(self, item: WorkItem) -> Turn:
        return Turn(item)

    def coroutine(self, _turn: Turn) -> Coroutine[Any, Any, Answer | Turn] | None:
        return None

    def perform(self, turn: Turn) -> Answer | Coroutine[Any, Any, Answer | Turn]:
        item = turn.item
        session = self._sessions.check_out(item.peek)
        if session is None and item.peek.kept and turn.history is None:
            return self._with_history(item)
        if session is None:
            return self._perform_cold(item, turn.history)
        try:
            request = self._decode_unseen(item, session)
        except BaseException:
            session.close()
            raise
        if any(event.execution_rewound is not None for event in request.new_events):
            # The run that the machine belongs to is taken back, for which all of it is needed.
            session.close()
            return self._perform_cold(item)
        return self._take(session, item, request)

    def abandon(self, item: WorkItem) -> Answer:
        request = messages.AbandonOrchestrationTaskRequest(completion_token=item.token)
        return Answer(item, methods.ABANDON_ORCHESTRATION_TASK, request)

    async def _with_history(self, item: WorkItem) -> Turn:
        """The turn with the events that the engine believes this worker to keep."""
        history = await self._fetch(item.instance_id)
        kept = item.peek.kept
        if len(history) < kept:
            raise HistoryUnknownError(
                f"Instance '{item.instance_id}': {item.peer.name} left out {kept} events and "
                f"then told {len(history)}."
            )
        return Turn(item, history[:kept])

    def _perform_cold(self, item: WorkItem, history: History | None = None) -> Answer:
        if item.peek.left_out is not None:
            return self._ask_for_history(item)
        request = self._decode(item)
        if history:
            request.past_events = [*history, *request.past_events]
        if self._versioning is not None:
            version = version_of(chain(request.past_events, request.new_events))
            if why := mismatch(version, self._versioning):
                return self._refuse(item, request, why, self._versioning)
        if is_rewind(request):
            decision = rewind(request, self._registry, item.peer.settings)
            return self._answer(item, decision, request)
        machine = open_machine(request, self._registry, item.peer.settings)
        session = Session(item.instance_id, item.peek.execution_id, machine)
        return self._take(session, item, request)

    def _take(
        self, session: Session, item: WorkItem, request: messages.OrchestratorRequest
    ) -> Answer:
        try:
            session.machine.replay(request.past_events)
            decision = session.machine.turn(request.new_events)
        except BaseException:
            session.close()
            raise
        session.saw(item.peek, stamped_in=self._stamped_in(item, decision))
        # An ended machine has closed itself.
        if not decision.ended:
            self._sessions.check_in(session)
        return self._answer(item, decision, request)

    def _stamped_in(self, item: WorkItem, decision: Decision) -> Dialect | None:
        records = item.peer.settings.engine.records_versions
        return item.peer.dialect if records and decision.is_versioned else None

    def _answer(
        self, item: WorkItem, decision: Decision, request: messages.OrchestratorRequest
    ) -> Answer:
        for entry in decision.log_entries:
            self._log.log(entry.level, "%s", entry.text, extra=entry.extra)
        return Answer(
            item,
            methods.COMPLETE_ORCHESTRATOR_TASK,
            decision.response(request, item.token),
            or_else=lambda why: self._failed(item, why),
        )

    def _refuse(
        self,
        item: WorkItem,
        request: messages.OrchestratorRequest,
        why: str,
        versioning: VersioningOptions,
    ) -> Answer:
        if not versioning.rejects:
            return self._answer(item, version_mismatch(item.instance_id, why), request)
        self._log.warning(
            "Instance '%s': its turn is handed back for another worker. %s", item.instance_id, why
        )
        if not item.peer.serves(methods.ABANDON_ORCHESTRATION_TASK):
            return self._answer(item, version_not_available(), request)
        return self.abandon(item)

    def _ask_for_history(self, item: WorkItem) -> Answer:
        response = messages.OrchestratorResponse(
            instance_id=item.instance_id, completion_token=item.token, requires_history=True
        )
        return Answer(item, methods.COMPLETE_ORCHESTRATOR_TASK, response)

    def _decode_unseen(self, item: WorkItem, session: Session) -> messages.OrchestratorRequest:
        """The request without the past events that the machine has taken."""
        if item.peek.left_out is None:
            return self._decode(item, skip=session.machine.applied - item.peek.kept)
        session.machine.confirm_all()
        return self._decode(item)

    def _decode(self, item: WorkItem, *, skip: int = 0) -> messages.OrchestratorRequest:
        decoded = work_items.decode(item.raw, item.peer.dialect, skip_past_events=skip)
        request = decoded.orchestrator_request
        assert request is not None
        return request

    def _failed(self, item: WorkItem, why: Exception) -> Answer:
        """The orchestration failed, because the sidecar does not take what it decided."""
        # The machine believes in a turn that never was.
        self._sessions.condemn(item.instance_id)
        error = type(why)(f"The orchestrator's turn cannot be stored: {why}")
        completion = messages.CompleteOrchestrationAction(
            orchestration_status=messages.OrchestrationStatus.FAILED,
            failure_details=failures.to_message(failures.details_from_exception(error)),
        )
        response = messages.OrchestratorResponse(
            instance_id=item.instance_id,
            completion_token=item.token,
            # -1: the completion was not asked for by user code.
            actions=[messages.OrchestratorAction(id=-1, complete_orchestration=completion)],
        )
        return Answer(item, methods.COMPLETE_ORCHESTRATOR_TASK, response)
