"""Start and manage orchestrations, from threads or from an event loop.

    client = TaskHubGrpcClient()
    instance_id = client.schedule_new_orchestration("greet", input="Ada")
    state = client.wait_for_orchestration_completion(instance_id)

A call that fails raises a `SidecarError` (see `durabletask.transport.errors`). An orchestration
that failed is a state; only `state.raise_if_failed()` raises an error for it.

Importing this package does not import gRPC; making a client does.
"""

from __future__ import annotations

from durabletask.client._async_client import AsyncTaskHubGrpcClient
from durabletask.client._queries import (
    CleanEntityStorageResult,
    EntityQuery,
    OrchestrationQuery,
    Page,
    PurgeInstancesResult,
    new_purge_instances_result,
)
from durabletask.client._state import (
    OrchestrationState,
    OrchestrationStatus,
    new_orchestration_state,
    parse_orchestration_state,
)
from durabletask.client._sync_client import TaskHubGrpcClient
from durabletask.failures import OrchestrationFailedError

__all__ = [
    "AsyncTaskHubGrpcClient",
    "CleanEntityStorageResult",
    "EntityQuery",
    "OrchestrationFailedError",
    "OrchestrationQuery",
    "OrchestrationState",
    "OrchestrationStatus",
    "Page",
    "PurgeInstancesResult",
    "TaskHubGrpcClient",
    "new_orchestration_state",
    "new_purge_instances_result",
    "parse_orchestration_state",
]
