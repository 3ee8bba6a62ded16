"""What stands beside the checklist: task hubs, forced ends, requests that make no sense."""

from __future__ import annotations

import grpc
import pytest

from durabletask.protocol import messages, methods
from tests.builders.contract import Client, EngineUnderTest
from tests.builders.sidecar import complete

Status = messages.OrchestrationStatus


async def test_instances_are_ended_at_once_without_asking_their_workers(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    done = await client.start()
    await (await worker.turn()).decide(complete(1))
    id, missing = await client.start(), hub.new_id()
    await worker.turn()

    response = await client.call(
        methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS,
        instance_batch=messages.InstanceBatch(instance_ids=[id, missing, done]),
    )

    assert await client.status(id) == Status.TERMINATED
    assert await client.status(done) == Status.COMPLETED
    assert set(response.unterminated_instance_ids) == {missing, done}


async def test_no_more_than_five_hundred_instances_are_ended_in_one_call(
    hub: EngineUnderTest, client: Client
) -> None:
    batch = messages.InstanceBatch(instance_ids=[hub.new_id() for _ in range(501)])

    code = await client.refusal(
        methods.SKIP_GRACEFUL_ORCHESTRATION_TERMINATIONS, instance_batch=batch
    )

    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.needs("task hubs")
async def test_task_hubs_know_nothing_of_one_another(hub: EngineUnderTest, client: Client) -> None:
    elsewhere = await hub.client("elsewhere")
    id, other = await client.start(input='"here"'), await client.start()

    await elsewhere.start(id=id, input='"there"')
    worker = elsewhere.worker()
    first = await worker.next()
    last = await elsewhere.start()

    assert first.new("execution_started")[0].input == '"there"'
    assert (await client.state(id)).input == '"here"'
    assert await elsewhere.state(other) is None
    assert (await worker.next()).instance == last


@pytest.mark.needs("task hubs")
async def test_a_task_hub_that_is_deleted_takes_only_its_own_along(
    hub: EngineUnderTest, client: Client
) -> None:
    elsewhere = await hub.client("elsewhere")
    here, there = await client.start(), await elsewhere.start()
    entity = hub.entity()
    await elsewhere.signal(entity, "add")

    await elsewhere.call(methods.DELETE_TASK_HUB)

    assert await elsewhere.state(there) is None
    assert await elsewhere.entity(entity) is None
    assert await client.state(here) is not None
    # It is there again as soon as somebody uses it.
    last = await elsewhere.start()
    assert (await elsewhere.worker().next()).instance == last


@pytest.mark.needs("task hubs")
@pytest.mark.parametrize(("recreates", "remains"), [(False, True), (True, False)])
async def test_to_create_a_task_hub_empties_it_only_when_asked_to(
    client: Client, recreates: bool, remains: bool
) -> None:
    id = await client.start()

    await client.call(methods.CREATE_TASK_HUB, recreate_if_exists=recreates)

    assert (await client.state(id) is not None) is remains


@pytest.mark.needs("network")
@pytest.mark.parametrize("method", [methods.START_INSTANCE, methods.COMPLETE_ORCHESTRATOR_TASK])
async def test_bytes_that_are_no_message_are_an_invalid_argument(client: Client, method) -> None:
    code, _ = await client.peer.refusal(method, b"\xff\xff\xff")

    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_any_number_of_greetings_is_answered(client: Client) -> None:
    for _ in range(3):
        assert await client.call(methods.HELLO) == messages.Empty()
