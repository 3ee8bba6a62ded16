"""What to look for among many instances or entities, and what became of many at once.

Conditions that are None hold for all. Naive times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from durabletask.client._state import OrchestrationStatus
    from durabletask.protocol import messages


@dataclass
class OrchestrationQuery:
    """Which orchestrations.

    `created_time_from` is inclusive, `created_time_to` exclusive. `max_instance_count` limits
    one page, not the answer; engines have limits of their own. Payloads come only with
    `fetch_inputs_and_outputs`.

    Example:
        query = OrchestrationQuery(runtime_status=[OrchestrationStatus.FAILED])
        for state in client.iter_orchestration_states(query):
            client.rewind_orchestration(state.instance_id)
    """

    created_time_from: datetime | None = None
    created_time_to: datetime | None = None
    runtime_status: list[OrchestrationStatus] | None = None
    max_instance_count: int | None = 2**31 - 1
    fetch_inputs_and_outputs: bool = False
    instance_id_prefix: str | None = None


@dataclass
class EntityQuery:
    """Which entities.

    `instance_id_starts_with` is compared with the whole id, `@name@key`. `include_transient`
    is for entities without a state, which are only locked or waited for. `page_size` limits
    one page, not the answer.
    """

    instance_id_starts_with: str | None = None
    last_modified_from: datetime | None = None
    last_modified_to: datetime | None = None
    include_state: bool = True
    include_transient: bool = False
    page_size: int | None = None


@dataclass
class PurgeInstancesResult:
    """How many instances were deleted.

    `is_complete` is False if the time was over first, and None if the engine does not say.
    """

    deleted_instance_count: int
    is_complete: bool | None


@dataclass
class CleanEntityStorageResult:
    """How many entities without state were removed, and how many locks released."""

    empty_entities_removed: int
    orphaned_locks_released: int


def new_purge_instances_result(response: messages.PurgeInstancesResponse) -> PurgeInstancesResult:
    """The result in a response."""
    return PurgeInstancesResult(response.deleted_instance_count, response.is_complete)
