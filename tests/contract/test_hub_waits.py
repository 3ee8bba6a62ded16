"""Looking at instances, and waiting for them."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from durabletask.protocol import messages, methods
from tests.builders.contract import Client, EngineUnderTest, failure
from tests.builders.sidecar import complete, failed, schedule

Status = messages.OrchestrationStatus
LOOKING = [
    methods.GET_INSTANCE,
    methods.WAIT_FOR_INSTANCE_START,
    methods.WAIT_FOR_INSTANCE_COMPLETION,
]


@pytest.mark.checklist(9)
@pytest.mark.parametrize("method", LOOKING, ids=lambda method: method.name)
async def test_an_instance_that_is_missing_does_not_exist_and_is_no_error(
    hub: EngineUnderTest, client: Client, method
) -> None:
    response = await client.call(method, instance_id=hub.new_id())

    assert response.exists is False


@pytest.mark.checklist(10)
async def test_payloads_come_only_with_the_flag(client: Client) -> None:
    id = await client.start(input='"in"')
    await (await client.worker().turn()).decide(complete(1, '"out"'), custom_status='"busy"')

    bare = (await client.get(id, payloads=False)).orchestration_state
    full = (await client.get(id, payloads=True)).orchestration_state

    assert (bare.input, bare.output) == (None, None)
    assert bare.orchestration_status == Status.COMPLETED
    assert (full.input, full.output, full.custom_status) == ('"in"', '"out"', '"busy"')


@pytest.mark.checklist(10)
async def test_the_state_of_a_failed_instance_says_why(client: Client) -> None:
    id = await client.start()
    await (await client.worker().turn()).decide(failed(1, failure("TypeError", "no such thing")))

    details = (await client.completed(id)).failure_details

    assert (details.error_type, details.error_message) == ("TypeError", "no such thing")


@pytest.mark.checklist(11)
async def test_a_hundred_waits_block_no_other_call(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    waits = [await client.waiting(id) for _ in range(100)]

    await (await worker.turn()).decide(schedule(1))
    await (await worker.activity()).finish()
    await (await worker.turn()).decide(complete(2, '"done"'))

    responses = await asyncio.gather(*waits)
    assert {response.orchestration_state.output for response in responses} == {'"done"'}


@pytest.mark.checklist(12)
@pytest.mark.parametrize("method", LOOKING[1:], ids=lambda method: method.name)
async def test_a_wait_ends_at_its_deadline(client: Client, method) -> None:
    request = messages.GetInstanceRequest(instance_id=await client.start())

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.peer.call(method, request, patience=0.05)

    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.checklist(13)
@pytest.mark.needs("clock")
async def test_who_waits_for_the_end_hears_of_it_while_no_time_passes(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    waiting = await client.waiting(id)

    await (await worker.turn()).decide(complete(1, '"done"'))

    assert (await waiting).orchestration_state.output == '"done"'


@pytest.mark.checklist(13)
@pytest.mark.needs("clock")
async def test_who_waits_for_the_start_hears_of_it_while_no_time_passes(client: Client) -> None:
    worker = client.worker()
    request = messages.GetInstanceRequest(instance_id=await client.start())
    waiting = await client.peer.begin(methods.WAIT_FOR_INSTANCE_START, request)

    await (await worker.turn()).decide()

    assert (await waiting).orchestration_state.orchestration_status == Status.RUNNING


@pytest.mark.checklist(14)
@pytest.mark.parametrize("payload", [None, ""], ids=["null", "empty"])
async def test_a_payload_that_is_null_and_one_that_is_empty_stay_what_they_are(
    client: Client, payload: str | None
) -> None:
    id = await client.start(input=payload)
    await client.raise_event(id, "go", payload)
    worker = client.worker()

    turn = await worker.turn()
    await turn.decide(schedule(1, input=payload))
    activity = await worker.activity()
    await activity.finish(payload)
    last = await worker.turn()
    await last.decide(complete(2, payload))

    state = await client.completed(id)
    assert turn.new("execution_started")[0].input == payload
    assert turn.new("event_raised")[0].input == payload
    assert activity.request.input == payload
    assert last.new("task_completed")[0].result == payload
    assert (state.input, state.output) == (payload, payload)
