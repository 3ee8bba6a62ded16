"""Entities that have been called and have not answered.

Answers come under the id of the request: the one that history has, once it has recorded the
call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core.calls import hand_over
from durabletask.core.critical_sections import end_call
from durabletask.entities import EntityOperationFailedException
from durabletask.failures import FailureDetails
from durabletask.task import CompletableTask

if TYPE_CHECKING:
    from durabletask.core.actions import CallEntity
    from durabletask.core.critical_sections import CriticalSections, Section
    from durabletask.core.ledger import Ledger
    from durabletask.entities import EntityInstanceId
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter

_UNTOLD = FailureDetails(message="it told nothing", error_type="", stack_trace=None)


class EntityCall(NamedTuple):
    """A call with the task that waits for it and the section it was made in."""

    number: int
    entity: EntityInstanceId
    operation: str
    result_type: Any
    task: CompletableTask[Any]
    section: Section | None


class EntityCalls:
    """The unanswered calls of one orchestration."""

    __slots__ = ("_converter", "_ledger", "_sections", "_unanswered")

    def __init__(
        self, ledger: Ledger, sections: CriticalSections, converter: DataConverter
    ) -> None:
        self._ledger = ledger
        self._sections = sections
        self._converter = converter
        self._unanswered: dict[str, EntityCall] = {}

    def start(
        self, action: CallEntity, entity: EntityInstanceId, result_type: Any
    ) -> CompletableTask[Any]:
        """Ask for the call; the task completes with its answer."""
        task: CompletableTask[Any] = CompletableTask()
        section = self._sections.begin_call(entity)
        self._unanswered[action.request_id] = EntityCall(
            action.id, entity, action.name, result_type, task, section
        )
        self._ledger.ask(action)
        return task

    def recorded(self, number: int, request_id: str) -> None:
        """Expect the answer to the call of that number under the id that history has."""
        if request_id in self._unanswered:
            return  # nearly always: no need to search
        for id, call in self._unanswered.items():
            if call.number == number:
                self._unanswered[request_id] = self._unanswered.pop(id)
                return

    def complete(self, request_id: str, output: str | None) -> bool:
        """Hand the result over; False if nobody waits for that request."""
        call = self._answered(request_id)
        if call is None:
            return False
        # An empty text is how some entities say that they return nothing.
        hand_over(call.task, output or None, call.result_type, self._converter)
        return True

    def fail(self, request_id: str, details: messages.TaskFailureDetails | None) -> bool:
        """Hand the failure over; False if nobody waits for that request."""
        call = self._answered(request_id)
        if call is None:
            return False
        error = EntityOperationFailedException(call.entity, call.operation, details or _UNTOLD)
        call.task.fail(str(error), error.details())
        return True

    def _answered(self, request_id: str) -> EntityCall | None:
        call = self._unanswered.pop(request_id, None)
        if call is not None:
            end_call(call.section, call.entity)
        return call
