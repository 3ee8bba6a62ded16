"""Orchestrations that are started at a steady rate, whatever becomes of them, and their worker.

Every moment of a start is fixed beforehand, so a sidecar that is slow has more to do, and not
less. The worker remembers nothing: it reads in a history what is to be done next.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durabletask import transport
from durabletask.protocol import codec, dialects, messages, methods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

PAYLOAD = '"' + 100 * "x" + '"'
_PATIENCE = 60.0


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[transport.AsyncTransport]:
    link = transport.grpc_async_transport(address)
    try:
        yield link
    finally:
        await link.close()


def completion(number: int, result: str) -> messages.OrchestratorAction:
    return messages.OrchestratorAction(
        id=number,
        complete_orchestration=messages.CompleteOrchestrationAction(
            orchestration_status=messages.OrchestrationStatus.COMPLETED, result=result
        ),
    )


@dataclass(slots=True)
class Load:
    """Orchestrations that are started at fixed moments, and a worker for them."""

    link: transport.AsyncTransport
    rate: int
    activities: int
    """How many each orchestration calls, one after the other."""
    started: list[str] = field(default_factory=list)
    """Ids of those whose start was acknowledged."""
    latencies: list[float] = field(default_factory=list)
    """Seconds from the moment of a start until its client knew of the end."""
    _errors: list[BaseException] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, name: str, goes_on: Callable[[], bool]) -> None:
        """Keep it up for as long as `goes_on`, which is asked once a second."""
        async with self.working():
            began = time.perf_counter()
            for number in itertools.count():
                if number % self.rate == 0 and not await asyncio.to_thread(goes_on):
                    break
                moment = began + number / self.rate
                await asyncio.sleep(moment - time.perf_counter())
                self._spawn(self._one(f"{name}-{number}", moment))
            async with asyncio.timeout(_PATIENCE):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        if self._errors:
            raise BaseExceptionGroup("not everything went well", self._errors)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Take work items meanwhile."""
        task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def ended(self, instance_id: str) -> bool:
        """Wait until the orchestration has ended; False when there is none."""
        wanted = messages.GetInstanceRequest(instance_id=instance_id)
        response = await self.link.unary(
            methods.WAIT_FOR_INSTANCE_COMPLETION, wanted, timeout=_PATIENCE
        )
        return bool(response.exists)

    async def _one(self, instance_id: str, moment: float) -> None:
        start = messages.CreateInstanceRequest(instance_id=instance_id, name="live", input=PAYLOAD)
        await self.link.unary(methods.START_INSTANCE, start, timeout=_PATIENCE)
        self.started.append(instance_id)
        await self.ended(instance_id)
        self.latencies.append(time.perf_counter() - moment)

    async def _work(self) -> None:
        asked = messages.GetWorkItemsRequest(
            max_concurrent_orchestration_work_items=1000, max_concurrent_activity_work_items=1000
        )
        async for raw in self.link.stream(methods.GET_WORK_ITEMS, asked):
            item = codec.decode(messages.WorkItem, raw, dialects.TASKHUB)
            if item.orchestrator_request is not None:
                self._spawn(self._decide(item, item.orchestrator_request))
            elif item.activity_request is not None:
                self._spawn(self._finish(item, item.activity_request))

    async def _decide(self, item: messages.WorkItem, turn: messages.OrchestratorRequest) -> None:
        events = (*turn.past_events, *turn.new_events)
        done = sum(event.task_completed is not None for event in events)
        task = messages.ScheduleTaskAction(name="work", input=PAYLOAD)
        goes_on = messages.OrchestratorAction(id=done + 1, schedule_task=task)
        response = messages.OrchestratorResponse(
            instance_id=turn.instance_id,
            actions=[goes_on if done < self.activities else completion(done + 1, PAYLOAD)],
            completion_token=item.completion_token,
        )
        await self.link.unary(methods.COMPLETE_ORCHESTRATOR_TASK, response, timeout=_PATIENCE)

    async def _finish(self, item: messages.WorkItem, task: messages.ActivityRequest) -> None:
        instance = task.orchestration_instance
        assert instance is not None
        response = messages.ActivityResponse(
            instance_id=instance.instance_id,
            task_id=task.task_id,
            result=PAYLOAD,
            completion_token=item.completion_token,
        )
        await self.link.unary(methods.COMPLETE_ACTIVITY_TASK, response, timeout=_PATIENCE)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._errors.append(error)
