"""Start orchestrations and look after them, from threads or from an event loop.

    client = TaskHubGrpcClient()
    instance_id = client.schedule_new_orchestration("greet", input="Ada")
    state = client.wait_for_orchestration_completion(instance_id)

What goes wrong on the way to the sidecar is a `SidecarError` (see
`durabletask.transport.errors`); an orchestration that failed is a state, and an error only
after `state.raise_if_failed()`.

Importing this does not import gRPC: the first client that is made does.
"""

from __future__ import annotations

from durabletask.client._aio import AsyncTaskHubGrpcClient
from durabletask.client._pages import Page
from durabletask.client._queries import (
    CleanEntityStorageResult,
    EntityQuery,
    OrchestrationQuery,
    PurgeInstancesResult,
    new_purge_instances_result,
)
from durabletask.client._state import (
    OrchestrationState,
    OrchestrationStatus,
    new_orchestration_state,
    parse_orchestration_state,
)
from durabletask.client._sync import TaskHubGrpcClient
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
