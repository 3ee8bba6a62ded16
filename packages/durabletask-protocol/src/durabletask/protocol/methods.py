"""The methods of the protocol's gRPC service, as a table.

Client, worker and sidecar build their calls from it. Both dialects serve them under one
service name, so the path does not show which dialect a peer speaks. Importing this module
loads no message class: they are looked up on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.protocol.dialects import DAPR, NATIVE, TASKHUB, Dialect

if TYPE_CHECKING:
    import betterproto2

SERVICE = "TaskHubSidecarService"

_BOTH = (TASKHUB, DAPR, NATIVE)
_MICROSOFT = (TASKHUB, NATIVE)
_DAPR = (DAPR, NATIVE)


# Each is made once, below, and looked up in tables for every call: by identity.
@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One method: its name on the wire, and the names of its request and response messages."""

    name: str
    request: str
    response: str
    response_streaming: bool = False
    dialects: tuple[Dialect, ...] = _BOTH

    @property
    def path(self) -> str:
        return f"/{SERVICE}/{self.name}"

    @property
    def sdk_dialect(self) -> Dialect:
        """The dialect in which peers of this project call it: Microsoft's if that has it."""
        return TASKHUB if TASKHUB in self.dialects else self.dialects[0]

    def request_class(self) -> type[betterproto2.Message]:
        found: type[betterproto2.Message] = getattr(messages, self.request)
        return found

    def response_class(self) -> type[betterproto2.Message]:
        found: type[betterproto2.Message] = getattr(messages, self.response)
        return found


HELLO = Method("Hello", "Empty", "Empty")

START_INSTANCE = Method("StartInstance", "CreateInstanceRequest", "CreateInstanceResponse")
GET_INSTANCE = Method("GetInstance", "GetInstanceRequest", "GetInstanceResponse")
WAIT_FOR_INSTANCE_START = Method(
    "WaitForInstanceStart", "GetInstanceRequest", "GetInstanceResponse"
)
WAIT_FOR_INSTANCE_COMPLETION = Method(
    "WaitForInstanceCompletion", "GetInstanceRequest", "GetInstanceResponse"
)
RAISE_EVENT = Method("RaiseEvent", "RaiseEventRequest", "RaiseEventResponse")
TERMINATE_INSTANCE = Method("TerminateInstance", "TerminateRequest", "TerminateResponse")
SUSPEND_INSTANCE = Method("SuspendInstance", "SuspendRequest", "SuspendResponse")
RESUME_INSTANCE = Method("ResumeInstance", "ResumeRequest", "ResumeResponse")
REWIND_INSTANCE = Method(
    "RewindInstance", "RewindInstanceRequest", "RewindInstanceResponse", dialects=_MICROSOFT
)
RESTART_INSTANCE = Method(
    "RestartInstance", "RestartInstanceRequest", "RestartInstanceResponse", dialects=_MICROSOFT
)
RERUN_ORCHESTRATION_FROM_EVENT = Method(
    "RerunWorkflowFromEvent",
    "RerunOrchestrationFromEventRequest",
    "RerunOrchestrationFromEventResponse",
    dialects=_DAPR,
)
PURGE_INSTANCES = Method("PurgeInstances", "PurgeInstancesRequest", "PurgeInstancesResponse")
QUERY_INSTANCES = Method(
    "QueryInstances", "QueryInstancesRequest", "QueryInstancesResponse", dialects=_MICROSOFT
)
# The two vendors' methods differ in one letter's case, and have different messages.
LIST_INSTANCE_IDS = Method(
    "ListInstanceIds", "ListInstanceIdsRequest", "ListInstanceIdsResponse", dialects=_MICROSOFT
)
PAGE_INSTANCE_IDS = Method(
    "ListInstanceIDs", "PageInstanceIdsRequest", "PageInstanceIdsResponse", dialects=_DAPR
)
STREAM_INSTANCE_HISTORY = Method(
    "StreamInstanceHistory",
    "StreamInstanceHistoryRequest",
    "HistoryChunk",
    response_streaming=True,
    dialects=_MICROSOFT,
)
GET_INSTANCE_HISTORY = Method(
    "GetInstanceHistory",
    "GetInstanceHistoryRequest",
    "GetInstanceHistoryResponse",
    dialects=_DAPR,
)
SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS = Method(
    "SkipGracefulOrchestrationTerminations",
    "SkipGracefulOrchestrationTerminationsRequest",
    "SkipGracefulOrchestrationTerminationsResponse",
    dialects=_MICROSOFT,
)

GET_WORK_ITEMS = Method("GetWorkItems", "GetWorkItemsRequest", "WorkItem", response_streaming=True)
COMPLETE_ORCHESTRATOR_TASK = Method(
    "CompleteOrchestratorTask", "OrchestratorResponse", "CompleteTaskResponse"
)
# Dapr's newer name for the same method; its engines still serve the older one.
COMPLETE_WORKFLOW_TASK = Method(
    "CompleteWorkflowTask", "OrchestratorResponse", "CompleteTaskResponse", dialects=_DAPR
)
COMPLETE_ACTIVITY_TASK = Method("CompleteActivityTask", "ActivityResponse", "CompleteTaskResponse")
COMPLETE_ENTITY_TASK = Method(
    "CompleteEntityTask", "EntityBatchResult", "CompleteTaskResponse", dialects=_MICROSOFT
)
ABANDON_ORCHESTRATION_TASK = Method(
    "AbandonTaskOrchestratorWorkItem",
    "AbandonOrchestrationTaskRequest",
    "AbandonOrchestrationTaskResponse",
    dialects=_MICROSOFT,
)
ABANDON_ACTIVITY_TASK = Method(
    "AbandonTaskActivityWorkItem",
    "AbandonActivityTaskRequest",
    "AbandonActivityTaskResponse",
    dialects=_MICROSOFT,
)
ABANDON_ENTITY_TASK = Method(
    "AbandonTaskEntityWorkItem",
    "AbandonEntityTaskRequest",
    "AbandonEntityTaskResponse",
    dialects=_MICROSOFT,
)

SIGNAL_ENTITY = Method(
    "SignalEntity", "SignalEntityRequest", "SignalEntityResponse", dialects=_MICROSOFT
)
GET_ENTITY = Method("GetEntity", "GetEntityRequest", "GetEntityResponse", dialects=_MICROSOFT)
QUERY_ENTITIES = Method(
    "QueryEntities", "QueryEntitiesRequest", "QueryEntitiesResponse", dialects=_MICROSOFT
)
CLEAN_ENTITY_STORAGE = Method(
    "CleanEntityStorage",
    "CleanEntityStorageRequest",
    "CleanEntityStorageResponse",
    dialects=_MICROSOFT,
)

CREATE_TASK_HUB = Method(
    "CreateTaskHub", "CreateTaskHubRequest", "CreateTaskHubResponse", dialects=_MICROSOFT
)
DELETE_TASK_HUB = Method(
    "DeleteTaskHub", "DeleteTaskHubRequest", "DeleteTaskHubResponse", dialects=_MICROSOFT
)

ALL: tuple[Method, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Method)
)


def of(dialect: Dialect) -> tuple[Method, ...]:
    """The methods that a peer of this dialect may serve."""
    return tuple(method for method in ALL if dialect in method.dialects)
