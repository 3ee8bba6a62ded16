"""One turn of an orchestration: work item in, decision out, the machine kept warm.

Knows nothing about streams and delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask import failures
from durabletask.core.decide import open_machine
from durabletask.protocol import messages, methods, work_items

from ._sessions import Session, Sessions
from ._work import Answer, WorkItem

if TYPE_CHECKING:
    import logging
    from collections.abc import Coroutine

    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.protocol.dialects import Dialect


@dataclass(frozen=True, slots=True)
class Turn:
    """An orchestrator work item; the thread that takes it decodes it."""

    item: WorkItem


class Orchestrations:
    """Does orchestrator work items, on threads without an event loop."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        sessions: Sessions,
        dialect: Dialect,
        log: logging.Logger,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._sessions = sessions
        self._dialect = dialect
        self._log = log

    def prepare(self, item: WorkItem) -> Turn:
        return Turn(item)

    def coroutine(self, _turn: Turn) -> Coroutine[Any, Any, Answer] | None:
        return None

    def perform(self, turn: Turn) -> Answer:
        item = turn.item
        session = self._sessions.check_out(item.peek)
        try:
            request = self._decode(item, skip=session.machine.applied if session else 0)
            if session is None:
                session = self._begin(item, request)
            session.machine.replay(request.past_events)
            decision = session.machine.turn(request.new_events)
        except BaseException:
            if session is not None:
                session.close()
            raise
        for note in decision.notes:
            self._log.log(note.level, "%s", note.text)
        session.saw(item.peek)
        # An ended machine has closed itself.
        if not decision.ended:
            self._sessions.check_in(session)
        return Answer(
            item,
            methods.COMPLETE_ORCHESTRATOR_TASK,
            decision.response(request, item.token),
            or_else=lambda why: self._failed(item, why),
        )

    def abandon(self, item: WorkItem) -> Answer:
        request = messages.AbandonOrchestrationTaskRequest(completion_token=item.token)
        return Answer(item, methods.ABANDON_ORCHESTRATION_TASK, request)

    def _begin(self, item: WorkItem, request: messages.OrchestratorRequest) -> Session:
        machine = open_machine(request, self._registry, self._settings)
        return Session(item.instance_id, item.peek.execution_id, machine)

    def _decode(self, item: WorkItem, *, skip: int) -> messages.OrchestratorRequest:
        decoded = work_items.decode(item.raw, self._dialect, skip_past_events=skip)
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
