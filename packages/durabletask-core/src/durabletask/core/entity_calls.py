"""Entity calls that have not been answered.

An answer bears the id of its request: the one that history has, once it has recorded the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core.critical_sections import end_call
from durabletask.core.pending_calls import complete_task
from durabletask.entities import EntityOperationFailedException
from durabletask.failures import FailureDetails
from durabletask.task import CompletableTask

if TYPE_CHECKING:
    from durabletask.core.actions import Action
    from durabletask.core.critical_sections import CriticalSections, Section
    from durabletask.core.pending_actions import PendingActions
    from durabletask.entities import EntityInstanceId
    from durabletask.protocol import messages
    from durabletask.serialization import DataConverter

_NO_DETAILS = FailureDetails(
    message="the entity gave no failure details", error_type="", stack_trace=None
)


class EntityCall(NamedTuple):
    """A call with the task that waits for it and the section it was made in."""

    action_id: int
    entity: EntityInstanceId
    operation: str
    result_type: Any
    task: CompletableTask[Any]
    section: Section | None


class EntityCalls:
    """The unanswered calls of one orchestration."""

    __slots__ = ("_by_request_id", "_converter", "_pending_actions", "_sections")

    def __init__(
        self,
        pending_actions: PendingActions,
        sections: CriticalSections,
        converter: DataConverter,
    ) -> None:
        self._pending_actions = pending_actions
        self._sections = sections
        self._converter = converter
        self._by_request_id: dict[str, EntityCall] = {}

    def start(
        self, action: Action, entity: EntityInstanceId, result_type: Any
    ) -> CompletableTask[Any]:
        """Make the call; the task completes with its answer."""
        task: CompletableTask[Any] = CompletableTask()
        section = self._sections.begin_call(entity)
        self._by_request_id[action.call_id] = EntityCall(
            action.id, entity, action.name, result_type, task, section
        )
        self._pending_actions.add(action)
        return task

    def expect_request_id(self, action_id: int, request_id: str) -> None:
        """Expect the answer to that call under the request id that history has."""
        if request_id in self._by_request_id:
            return  # nearly always: no need to search
        for id, call in self._by_request_id.items():
            if call.action_id == action_id:
                self._by_request_id[request_id] = self._by_request_id.pop(id)
                return

    def complete(self, request_id: str, output: str | None) -> bool:
        """Complete the call's task with the result; False if no task waits for that request."""
        call = self._take(request_id)
        if call is None:
            return False
        # Some SDKs send an empty text for an operation that returns nothing.
        complete_task(call.task, output or None, call.result_type, self._converter)
        return True

    def fail(self, request_id: str, details: messages.TaskFailureDetails | None) -> bool:
        """Fail the call's task; False if no task waits for that request."""
        call = self._take(request_id)
        if call is None:
            return False
        error = EntityOperationFailedException(call.entity, call.operation, details or _NO_DETAILS)
        call.task.fail(str(error), error.details())
        return True

    def _take(self, request_id: str) -> EntityCall | None:
        call = self._by_request_id.pop(request_id, None)
        if call is not None:
            end_call(call.section, call.entity)
        return call
