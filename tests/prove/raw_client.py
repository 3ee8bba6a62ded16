"""A client that sends a sidecar any bytes, and that can do a worker's job; part of no SDK."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, dialects, messages, methods, oneofs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durabletask.protocol.methods import Method

# Against hangs only, and longer than the sidecar lets anything rest that was given back.
PATIENCE = 70.0

_CHANNEL = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
)


class RawClient:
    """One connection."""

    def __init__(self, address: str, channel: grpc.aio.Channel, patience: float) -> None:
        self.address = address
        self._channel = channel
        self._patience = patience

    async def send(self, method: Method, raw: bytes, headers: Any = ()) -> bytes:
        """Send bytes; a refusal raises grpc.aio.AioRpcError."""
        call: Any = self._channel.unary_unary(method.path)
        answer: bytes = await call(
            raw, metadata=headers, timeout=self._patience, wait_for_ready=True
        )
        return answer

    def listen(self, method: Method, raw: bytes, headers: Any = ()) -> Any:
        """Open a stream; for ever, if the sidecar does not end it."""
        call: Any = self._channel.unary_stream(method.path)
        return call(raw, metadata=headers, wait_for_ready=True)

    async def ask(self, method: Method, request: Any, *, hub: str = "default") -> Any:
        """Send a message as Microsoft's clients do, and read the answer."""
        raw = codec.encode(request, dialects.TASKHUB)
        answer = await self.send(method, raw, (("taskhub", hub),))
        return codec.decode(method.response_class(), answer, dialects.TASKHUB)

    async def completes_an_orchestration(self, hub: str, instance_id: str) -> bool:
        """Whether a chain of a turn, an activity and a turn gets through now."""
        items = self._work(hub)
        start = messages.CreateInstanceRequest(instance_id=instance_id, name="last")
        await self.ask(methods.START_INSTANCE, start, hub=hub)
        try:
            while True:
                raw = await self._next(items)
                if raw is None:
                    return False
                await self._answer(codec.decode(messages.WorkItem, raw, dialects.TASKHUB), hub)
                look = messages.GetInstanceRequest(instance_id=instance_id)
                state = await self.ask(methods.GET_INSTANCE, look, hub=hub)
                status = state.orchestration_state.orchestration_status
                if status == messages.OrchestrationStatus.COMPLETED:
                    return True
                if status == messages.OrchestrationStatus.FAILED:
                    return False
        finally:
            items.cancel()

    async def _answer(self, item: Any, hub: str) -> None:
        """Do what a plain worker does: one activity, then the end."""
        token = item.completion_token
        match oneofs.which(item):
            case "orchestrator_request":
                answer = messages.OrchestratorResponse(
                    instance_id=item.orchestrator_request.instance_id,
                    completion_token=token,
                    actions=[_next_action(item.orchestrator_request)],
                )
                await self.ask(methods.COMPLETE_ORCHESTRATOR_TASK, answer, hub=hub)
            case "activity_request":
                done = messages.ActivityResponse(
                    instance_id=item.activity_request.orchestration_instance.instance_id,
                    task_id=item.activity_request.task_id,
                    completion_token=token,
                )
                await self.ask(methods.COMPLETE_ACTIVITY_TASK, done, hub=hub)
            case "entity_request_v2" | "entity_request":
                failure = messages.TaskFailureDetails(error_type="Weary", error_message="no more")
                result = messages.EntityBatchResult(failure_details=failure, completion_token=token)
                await self.ask(methods.COMPLETE_ENTITY_TASK, result, hub=hub)

    async def finish_everything(self, hub: str) -> list[str]:
        """End all that is live, with a plain worker; the ids of what will not end.

        What a lease that leaked holds is handed out to nobody any more, and so is among them.
        """
        items = self._work(hub)
        try:
            for state in await self._live(hub):
                await self._wake(state, hub)
            while live := await self._live(hub):
                raw = await self._next(items)
                if raw is None:
                    return [state.instance_id for state in live]
                await self._answer(codec.decode(messages.WorkItem, raw, dialects.TASKHUB), hub)
            return []
        finally:
            items.cancel()

    async def _next(self, items: Any) -> bytes | None:
        """What is sent next; None when nothing comes any more."""
        try:
            raw: bytes = await asyncio.wait_for(items.read(), self._patience)
        except TimeoutError:
            return None
        return raw

    def _work(self, hub: str) -> Any:
        asked = messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=100)
        raw = codec.encode(asked, dialects.TASKHUB)
        return self.listen(methods.GET_WORK_ITEMS, raw, (("taskhub", hub),))

    async def _wake(self, state: Any, hub: str) -> None:
        """Give an orchestration something to do, whatever it waits for."""
        to = state.instance_id
        if state.scheduled_start_timestamp is not None:
            await self.ask(
                methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id=to), hub=hub
            )
            return
        event = messages.RaiseEventRequest(instance_id=to, name="wake up")
        await self.ask(methods.RESUME_INSTANCE, messages.ResumeRequest(instance_id=to), hub=hub)
        await self.ask(methods.RAISE_EVENT, event, hub=hub)

    async def _live(self, hub: str) -> list[Any]:
        statuses = messages.OrchestrationStatus
        query = messages.InstanceQuery(
            runtime_status=[statuses.PENDING, statuses.RUNNING, statuses.SUSPENDED]
        )
        request = messages.QueryInstancesRequest(query=query)
        found = await self.ask(methods.QUERY_INSTANCES, request, hub=hub)
        return list(found.orchestration_state)


def _next_action(request: Any) -> Any:
    """One activity in the orchestration `last`, and the end, as was asked, in all others."""
    events = (*request.past_events, *request.new_events)
    kinds = {oneofs.which(each) for each in events}
    names = {each.execution_started.name for each in events if each.execution_started}
    if "last" in names and "task_scheduled" not in kinds:
        task = messages.ScheduleTaskAction(name="greet")
        return messages.OrchestratorAction(id=1, schedule_task=task)
    statuses = messages.OrchestrationStatus
    is_terminated = "execution_terminated" in kinds
    end = messages.CompleteOrchestrationAction(
        orchestration_status=statuses.TERMINATED if is_terminated else statuses.COMPLETED
    )
    return messages.OrchestratorAction(id=2, complete_orchestration=end)


@asynccontextmanager
async def connected(address: str, patience: float = PATIENCE) -> AsyncIterator[RawClient]:
    """Somebody with a connection; `patience` is in seconds."""
    async with grpc.aio.insecure_channel(address, _CHANNEL) as channel:
        yield RawClient(address, channel, patience)
