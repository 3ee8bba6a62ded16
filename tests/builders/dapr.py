"""A client and a worker that speak Dapr's dialect in raw messages."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, messages, methods, oneofs
from durabletask.protocol.dialects import DAPR
from tests.builders.sidecar import PATIENCE, Items, Peer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durabletask.protocol.methods import Method

STATEFUL: dict[str, Any] = {"capabilities": [messages.WorkerCapability.STATEFUL_HISTORY]}


class DaprPeer(Peer):
    """One connection, in Dapr's dialect."""

    async def call(self, method: Method, request: Any = None, *, patience: float = PATIENCE) -> Any:
        if request is None:
            request = method.request_class()()
        raw = await self.send(method, codec.encode(request, DAPR), patience=patience)
        return codec.decode(method.response_class(), raw, DAPR)

    async def refusal(self, method: Method, request: Any) -> tuple[grpc.StatusCode, str]:
        return await super().refusal(method, codec.encode(request, DAPR))

    def work(
        self, *, max_message: int | str | None = None, headers: Any = (), **request: Any
    ) -> DaprItems:
        raw = codec.encode(messages.GetWorkItemsRequest(**request), DAPR)
        call: Any = self.channel.unary_stream(methods.GET_WORK_ITEMS.path)
        return DaprItems(call(raw, metadata=(*self._metadata, *headers)))

    async def worker(self) -> DaprItems:
        """A worker that shows its dialect at once, and is admitted."""
        items = self.work(**STATEFUL)
        await items.opened()
        return items

    async def page(self, size: int | None = None, token: str | None = None) -> Any:
        request = messages.PageInstanceIdsRequest(page_size=size, continuation_token=token)
        return await self.call(methods.PAGE_INSTANCE_IDS, request)

    async def history(self, instance_id: str = "a") -> Any:
        request = messages.GetInstanceHistoryRequest(instance_id=instance_id)
        return (await self.call(methods.GET_INSTANCE_HISTORY, request)).events

    async def purge(self, instance_id: str = "a", **fields: Any) -> int:
        request = messages.PurgeInstancesRequest(instance_id=instance_id, **fields)
        response = await self.call(methods.PURGE_INSTANCES, request)
        return int(response.deleted_instance_count)

    async def rerun(self, event_id: int, **fields: Any) -> str:
        fields.setdefault("source_instance_id", "a")
        request = messages.RerunOrchestrationFromEventRequest(event_id=event_id, **fields)
        response = await self.call(methods.RERUN_ORCHESTRATION_FROM_EVENT, request)
        return str(response.new_instance_id)


class DaprItems(Items):
    """Work items, with their bytes."""

    raw: bytes = b""

    async def next_of_any_kind(self) -> Any:
        raw = await self._call.read()
        if raw is grpc.aio.EOF:
            return None
        self.raw = raw
        return codec.decode(messages.WorkItem, raw, DAPR)


def speaking_dapr(peer: Peer, hub: str | None = None) -> DaprPeer:
    """The same connection, in Dapr's dialect."""
    daprs = DaprPeer(peer.channel, hub)
    daprs.server = peer.server
    return daprs


@asynccontextmanager
async def serving_dapr(path: Any = None, **options: Any) -> AsyncIterator[DaprPeer]:
    """A sidecar on a free port, and a peer of Dapr's that is connected to it."""
    async with serving(path, **options) as peer:
        yield speaking_dapr(peer)


def kinds(events: Any) -> list[str]:
    return [oneofs.which(event) for event in events]


def routed(action: Any, **router: Any) -> Any:
    action.router = messages.TaskRouter(**router)
    return action


def scheduled(id: int, name: str = "greet", **fields: Any) -> Any:
    task = messages.ScheduleTaskAction(name=name, **fields)
    return messages.OrchestratorAction(id=id, schedule_task=task)


def timed(id: int, fire_at: Any, **fields: Any) -> Any:
    timer = messages.CreateTimerAction(fire_at=fire_at, **fields)
    return messages.OrchestratorAction(id=id, create_timer=timer)


def child(id: int, name: str = "ship", instance_id: str = "", **fields: Any) -> Any:
    call = messages.CreateSubOrchestrationAction(name=name, instance_id=instance_id, **fields)
    return messages.OrchestratorAction(id=id, create_sub_orchestration=call)


def detached(id: int, instance_id: str, name: str = "audit", **fields: Any) -> Any:
    start = messages.CreateDetachedOrchestrationAction(instance_id=instance_id, name=name, **fields)
    return messages.OrchestratorAction(id=id, create_detached_orchestration=start)


def not_available(id: int = -1) -> Any:
    lacking = messages.OrchestrationVersionNotAvailableAction()
    return messages.OrchestratorAction(id=id, orchestration_version_not_available=lacking)
