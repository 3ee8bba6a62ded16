"""The methods of the protocol, called without gRPC."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, dialects, messages, methods
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.host import Host
from durabletask.sidecar.service import Caller, Service
from durabletask.sidecar.service.errors import RefusedError, Status, status_of
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.sidecar import complete

if TYPE_CHECKING:
    from durabletask.protocol.methods import Method

PATIENCE = 10.0
CALLER = Caller("default", {}, dialects.TASKHUB)


@pytest.fixture
def service() -> Service:
    numbers = itertools.count(1)
    host = Host(Committer(MemoryStore()), ManualClock(), lambda: f"id{next(numbers)}")
    host.start()
    return Service(host)


@pytest.mark.parametrize("method", methods.ALL, ids=lambda method: method.name)
async def test_every_method_has_one_handler_with_its_kind_of_response(
    service: Service, method: Method
) -> None:
    assert (method in service.streaming) is method.response_streaming
    assert (method in service.unary) is not method.response_streaming


async def test_an_orchestration_runs_without_grpc(service: Service) -> None:
    start = messages.CreateInstanceRequest(instance_id="a", name="order")
    await service.unary[methods.START_INSTANCE](start, CALLER)

    worker = messages.GetWorkItemsRequest()
    async with service.streaming[methods.GET_WORK_ITEMS](worker, CALLER) as items:
        async with asyncio.timeout(PATIENCE):
            item = codec.decode(messages.WorkItem, await anext(items))
        response = messages.OrchestratorResponse(
            instance_id="a", completion_token=item.completion_token, actions=[complete(1, '"done"')]
        )
        await service.unary[methods.COMPLETE_ORCHESTRATOR_TASK](response, CALLER)

    wanted = messages.GetInstanceRequest(instance_id="a", get_inputs_and_outputs=True)
    found: Any = await service.unary[methods.GET_INSTANCE](wanted, CALLER)
    assert found.orchestration_state.output == '"done"'


async def test_a_refusal_is_an_error_that_has_a_status(service: Service) -> None:
    request = messages.TerminateRequest(instance_id="nobody")

    with pytest.raises(RefusedError, match="nobody") as refused:
        await service.unary[methods.TERMINATE_INSTANCE](request, CALLER)

    assert status_of(refused.value) is Status.NOT_FOUND
