"""The field numbers of each vendor's protocol, as data.

Two vendors use the same messages with different field numbers. Our messages hold the fields of
both: one that only Dapr has is numbered 1000 + Dapr's number. So a dialect is a rule for the
numbers from 1000 up, and a list of exceptions:

    NATIVE    everything under our own numbers; what our sidecar stores
    TASKHUB   Microsoft's: the numbers below 1000, nothing above
    DAPR      Dapr's: 1000 less for the numbers above, and the exceptions listed here
    EITHER    Microsoft's, and what Dapr's clients add to the calls that both vendors have

Vendors' field numbers are defined only here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_DAPR_NUMBER = 1000
"""Fields and enum values from this number up exist in Dapr only."""


class DaprNumbers(Enum):
    """What a dialect does with the numbers from `FIRST_DAPR_NUMBER` up."""

    KEPT = "kept"
    ABSENT = "absent"
    SHIFTED = "shifted"


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One way to number the fields of our messages; compared by identity.

    `absent_fields` and `moved_fields` hold the exceptions by message, `absent_values` those
    by enum. A number that is missing here follows `dapr_numbers`.
    """

    name: str
    dapr_numbers: DaprNumbers
    absent_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    moved_fields: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    absent_values: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def field_number(self, message: str, name: str, number: int) -> int | None:
        """The number of our field `number` in this dialect; None where it does not exist."""
        if name in self.absent_fields.get(message, ()):
            return None
        moved = self.moved_fields.get(message, {}).get(name)
        return moved if moved is not None else self._by_rule(number)

    def enum_value(self, enum: str, value: int) -> int | None:
        """The number of our enum value in this dialect; None where it does not exist."""
        if value in self.absent_values.get(enum, ()):
            return None
        return self._by_rule(value)

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"

    def _by_rule(self, number: int) -> int | None:
        if number < FIRST_DAPR_NUMBER or self.dapr_numbers is DaprNumbers.KEPT:
            return number
        if self.dapr_numbers is DaprNumbers.ABSENT:
            return None
        return number - FIRST_DAPR_NUMBER


NATIVE = Dialect("native", DaprNumbers.KEPT)
TASKHUB = Dialect("taskhub", DaprNumbers.ABSENT)

# Most of these numbers mean something else in Dapr's contract: writing them there would
# not be ignored, it would be misread.
_ABSENT_IN_DAPR = {
    "ActivityRequest": {"tags"},
    "CompleteOrchestrationAction": {"tags"},
    "CreateInstanceRequest": {"orchestration_id_reuse_policy", "request_time"},
    "CreateSubOrchestrationAction": {"parent_trace_context", "tags"},
    "GetWorkItemsRequest": {
        "max_concurrent_orchestration_work_items",
        "max_concurrent_activity_work_items",
        "max_concurrent_entity_work_items",
        "work_item_filters",
        "worker_instance_id",
    },
    "HistoryEvent": {
        "generic_event",
        "history_state",
        "entity_operation_signaled",
        "entity_operation_called",
        "entity_operation_completed",
        "entity_operation_failed",
        "entity_lock_requested",
        "entity_lock_granted",
        "entity_unlock_sent",
        "execution_rewound",
    },
    "OrchestratorAction": {"send_entity_message", "rewind_orchestration"},
    "OrchestratorRequest": {"entity_parameters", "properties", "orchestration_trace_context"},
    "OrchestratorResponse": {
        "orchestration_trace_context",
        "requires_history",
        "is_partial",
        "chunk_index",
    },
    "PurgeInstanceFilter": {"timeout"},
    "PurgeInstancesRequest": {"instance_batch", "is_orchestration"},
    "ScheduleTaskAction": {"tags", "parent_trace_context"},
    "SubOrchestrationInstanceCreatedEvent": {"tags"},
    "TaskFailureDetails": {"properties"},
    "TaskScheduledEvent": {"tags"},
    "WorkItem": {"entity_request", "health_ping", "entity_request_v2"},
}

DAPR = Dialect(
    "dapr",
    DaprNumbers.SHIFTED,
    absent_fields=MappingProxyType(
        {message: frozenset(names) for message, names in _ABSENT_IN_DAPR.items()}
    ),
    moved_fields=MappingProxyType({"GetWorkItemsRequest": {"capabilities": 4}}),
    # Dapr's one capability, STATEFUL_HISTORY, has the number of Microsoft's SCHEDULED_TASKS.
    absent_values=MappingProxyType({"WorkerCapability": frozenset({1, 2, 3})}),
)

EITHER = Dialect(
    "either",
    DaprNumbers.ABSENT,
    # Where a number has two meanings, as in the first two, their wire types differ, so both can
    # be read. When writing, these numbers have no other meaning.
    moved_fields=MappingProxyType(
        {
            "CreateInstanceRequest": {"enforce_unique_instance_id": 10, "router": 11},
            "PurgeInstancesRequest": {"force": 4, "router": 5},
            "GetInstanceRequest": {"router": 3},
            "RaiseEventRequest": {"router": 4},
            "TerminateRequest": {"router": 4},
            "SuspendRequest": {"router": 3},
            "ResumeRequest": {"router": 3},
            "OrchestrationState": {"parent_app_id": 16, "started_at": 17},
        }
    ),
)
