"""Which history events record a request of the orchestrator, and which events answer it.

One row for each kind of request: the action by which a worker asks for it, the event by which
the engine records it, the events that answer it, and the fields by which an answer refers to
its request. Every kind of history event stands here: as a request, as an answer, or in
`NEITHER`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durabletask.protocol.messages import HistoryEvent


# Compared by identity: each request is one of the constants below.
@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One kind of request; all names are those of fields of the protocol's messages."""

    event: str
    """The event that records it, as a member of `HistoryEvent`."""
    action: str
    """The action that asks for it, as a member of `OrchestratorAction`."""
    completed_by: str = ""
    """The event that answers it; empty for a request that has no answer."""
    failed_by: str = ""
    """The event that answers it with a failure; empty if it cannot fail."""
    referred_by: str = ""
    """The field of the answer that holds the id of the request."""
    own_id: str = "event_id"
    """The field that holds that id in the request: `event_id`, or a field of its body."""

    @property
    def answers(self) -> tuple[str, ...]:
        """The kinds of events that answer it."""
        return tuple(filter(None, (self.completed_by, self.failed_by)))

    def id_of(self, event: HistoryEvent) -> Any:
        """The id to which answers refer, read from the event that records the request."""
        body = event if self.own_id == "event_id" else getattr(event, self.event)
        return getattr(body, self.own_id)

    def id_in(self, answer: HistoryEvent, kind: str) -> Any:
        """The id of the request that this answer, an event of that kind, refers to."""
        return getattr(getattr(answer, kind), self.referred_by)


ACTIVITY = Request(
    "task_scheduled", "schedule_task", "task_completed", "task_failed", "task_scheduled_id"
)
SUB_ORCHESTRATION = Request(
    "sub_orchestration_instance_created",
    "create_sub_orchestration",
    "sub_orchestration_instance_completed",
    "sub_orchestration_instance_failed",
    "task_scheduled_id",
)
DETACHED_ORCHESTRATION = Request(
    "detached_orchestration_instance_created", "create_detached_orchestration"
)
TIMER = Request("timer_created", "create_timer", "timer_fired", referred_by="timer_id")
SENT_EVENT = Request("event_sent", "send_event")
ENTITY_CALL = Request(
    "entity_operation_called",
    "send_entity_message",
    "entity_operation_completed",
    "entity_operation_failed",
    "request_id",
    "request_id",
)
ENTITY_SIGNAL = Request("entity_operation_signaled", "send_entity_message")
ENTITY_LOCK = Request(
    "entity_lock_requested",
    "send_entity_message",
    "entity_lock_granted",
    referred_by="critical_section_id",
    own_id="critical_section_id",
)
ENTITY_UNLOCK = Request("entity_unlock_sent", "send_entity_message")

REQUESTS = (
    ACTIVITY,
    SUB_ORCHESTRATION,
    DETACHED_ORCHESTRATION,
    TIMER,
    SENT_EVENT,
    ENTITY_CALL,
    ENTITY_SIGNAL,
    ENTITY_LOCK,
    ENTITY_UNLOCK,
)

REQUESTED_BY = {request.event: request for request in REQUESTS}
"""The requests, by the kind of event that records each."""

ANSWERED_BY = {answer: request for request in REQUESTS for answer in request.answers}
"""The requests that have answers, by the kinds of events that answer each."""

NEITHER = frozenset({
    # What happens to the execution.
    "execution_started",
    "execution_completed",
    "execution_terminated",
    "execution_suspended",
    "execution_resumed",
    "execution_rewound",
    "execution_stalled",
    "continue_as_new",
    # Where a turn begins and ends.
    "orchestrator_started",
    "orchestrator_completed",
    # What comes unasked: that code waits for an event is recorded nowhere.
    "event_raised",
    "generic_event",
    "history_state",
})  # fmt: skip
"""The kinds of events that neither record nor answer a request."""

UNRECORDED_ACTIONS = frozenset({
    "complete_orchestration",
    "terminate_orchestration",
    "rewind_orchestration",
    "orchestration_version_not_available",
})  # fmt: skip
"""The actions that no event of `REQUESTS` records."""
