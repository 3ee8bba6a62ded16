"""Client and worker end to end; our sidecar takes the place of the scheduler."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durabletask.azuremanaged.client import (
    AsyncDurableTaskSchedulerClient,
    DurableTaskSchedulerClient,
)
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.sidecar import Sidecar
from durabletask.task import ActivityContext, OrchestrationContext
from tests.builders.scheduler import FakeCredential

LIFETIME = 10**9


def greet(_: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


async def greeting(ctx: OrchestrationContext, name: str) -> str:
    return await ctx.call_activity(greet, input=name)


@pytest.mark.parametrize("has_token", [False, True])
def test_an_orchestration_runs_from_end_to_end(has_token: bool) -> None:
    credential = FakeCredential(lifetime=LIFETIME) if has_token else None

    with Sidecar() as address:
        made: dict[str, Any] = {"host_address": f"http://{address}", "taskhub": "default"}
        worker = DurableTaskSchedulerWorker(**made, token_credential=credential)
        worker.add_activity(greet)
        worker.add_orchestrator(greeting)
        with worker, DurableTaskSchedulerClient(**made, token_credential=credential) as client:
            worker.start()
            ada = client.schedule_new_orchestration(greeting, input="Ada")
            state = client.wait_for_orchestration_completion(ada, timeout=30)
            events = client.get_orchestration_history(ada)

    assert state is not None
    assert state.get_output() == "Hello Ada!"
    assert events


async def test_the_async_client_works_from_end_to_end() -> None:
    with Sidecar() as address:
        made: dict[str, Any] = {"host_address": f"http://{address}", "taskhub": "default"}
        worker = DurableTaskSchedulerWorker(
            **made, token_credential=FakeCredential(lifetime=LIFETIME)
        )
        worker.add_activity(greet)
        worker.add_orchestrator(greeting)
        async with (
            asyncio.TaskGroup() as tasks,
            AsyncDurableTaskSchedulerClient(
                **made, token_credential=FakeCredential(lifetime=LIFETIME)
            ) as client,
        ):
            tasks.create_task(worker.run())
            ada = await client.schedule_new_orchestration(greeting, input="Ada")
            state = await client.wait_for_orchestration_completion(ada, timeout=30)
            events = await client.get_orchestration_history(ada)
            worker.stop()

    assert state is not None
    assert state.get_output() == "Hello Ada!"
    assert events
