"""Starting orchestrations: ids, duplicates, replacement, delayed starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from durabletask.protocol import messages, methods
from tests.builders.contract import Client, EngineUnderTest, child
from tests.builders.sidecar import complete, schedule

Status = messages.OrchestrationStatus


@pytest.mark.checklist(1)
async def test_an_instance_without_an_id_is_given_one(client: Client) -> None:
    first = await client.start(id="")
    second = await client.start(id="")

    assert first
    assert first != second
    assert (await client.state(first)).instance_id == first


@pytest.mark.checklist(1)
@pytest.mark.parametrize(
    "id", ["@counter@key", "line\nbreak", "x" * 5000], ids=["of an entity", "control", "long"]
)
async def test_an_id_that_cannot_be_an_instances_is_an_invalid_argument(
    client: Client, id: str
) -> None:
    code = await client.refusal(methods.START_INSTANCE, name="order", instance_id=id)

    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.checklist(2)
async def test_an_empty_name_is_an_invalid_argument(hub: EngineUnderTest, client: Client) -> None:
    id = hub.new_id()

    code = await client.refusal(methods.START_INSTANCE, name="", instance_id=id)

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert await client.state(id) is None


@pytest.mark.checklist(3)
async def test_an_id_that_is_taken_is_refused_and_its_instance_stays(client: Client) -> None:
    id = await client.start(input='"first"')

    code = await client.refusal(
        methods.START_INSTANCE, name="order", instance_id=id, input='"second"'
    )

    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert (await client.state(id)).input == '"first"'


@pytest.mark.checklist(3)
async def test_a_replaceable_status_that_the_instance_is_not_in_does_not_replace_it(
    client: Client,
) -> None:
    id = await client.start(input='"first"')

    policy = messages.OrchestrationIdReusePolicy(replaceable_status=[Status.COMPLETED])
    code = await client.refusal(
        methods.START_INSTANCE,
        name="order",
        instance_id=id,
        orchestration_id_reuse_policy=policy,
    )

    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert (await client.state(id)).input == '"first"'


@pytest.mark.checklist(4)
async def test_an_instance_that_has_ended_is_replaced(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(complete(1, '"old"'))
    old = await client.completed(id)

    await client.start(id=id, input='"new"', replaceable=[Status.COMPLETED])

    state = await client.state(id)
    assert (state.orchestration_status, state.input) == (Status.PENDING, '"new"')
    assert state.output is None
    assert state.execution_id != old.execution_id
    assert (await worker.turn()).past_events == []


@pytest.mark.checklist(4)
async def test_a_result_for_a_replaced_instance_does_not_reach_the_new_one(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1, "old"))
    old = await worker.activity("old")

    await client.start(id=id, replaceable=[Status.RUNNING])
    await (await worker.turn()).decide(schedule(1, "new"))
    await old.finish('"old"')
    await (await worker.activity("new")).finish('"new"')

    turn = await worker.turn()
    assert [each.result for each in turn.new("task_completed")] == ['"new"']
    assert turn.past("task_completed") == []


@pytest.mark.checklist(4)
async def test_an_answer_to_a_turn_of_a_replaced_instance_changes_nothing(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    old = await worker.turn()
    await client.start(id=id, replaceable=[Status.PENDING])
    new = await worker.turn()

    await old.decide(complete(1, '"old"'))
    await new.decide(complete(1, '"new"'))

    assert (await client.completed(id)).output == '"new"'


@pytest.mark.checklist(4)
async def test_who_waits_for_a_replaced_instance_waits_for_the_new_one(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    waiting = await client.waiting(id)

    await client.start(id=id, replaceable=[Status.PENDING])
    new = (await client.state(id)).execution_id
    turn = await worker.turn()
    while turn.request.execution_id != new:
        turn = await worker.turn()
    await turn.decide(complete(1, '"new"'))

    assert (await waiting).orchestration_state.output == '"new"'


@pytest.mark.checklist(5)
@pytest.mark.needs("clock", "restart")
async def test_a_delayed_instance_is_pending_and_starts_on_time_after_a_restart(
    hub: EngineUnderTest, client: Client
) -> None:
    start = hub.now() + timedelta(hours=1)
    later = await client.start(scheduled_start_timestamp=start)
    client = await hub.restart()
    worker = client.worker()

    hub.advance(minutes=59, seconds=59)
    now = await client.start()
    too_early = await worker.next()
    status = await client.status(later)
    hub.advance(seconds=1)
    turn = await worker.next()

    assert (too_early.instance, status) == (now, Status.PENDING)
    assert turn.instance == later
    assert turn.request.new_events[0].timestamp == start
    assert (await client.state(later)).scheduled_start_timestamp == start


@pytest.mark.checklist(5)
async def test_a_start_time_in_the_past_means_now(hub: EngineUnderTest, client: Client) -> None:
    before = hub.now()
    await client.start(scheduled_start_timestamp=datetime.fromtimestamp(0, UTC))

    turn = await client.worker().turn()

    # Not the time that was asked for: it would be the orchestrator's clock.
    assert turn.request.new_events[0].timestamp >= before


@pytest.mark.checklist(6)
async def test_the_state_shows_version_tags_and_execution_id(client: Client) -> None:
    id = await client.start(version="1.2", tags={"color": "red"}, execution_id="run-1")

    state = await client.state(id)

    assert (state.version, state.tags, state.execution_id) == ("1.2", {"color": "red"}, "run-1")


@pytest.mark.checklist(6)
async def test_an_execution_id_is_made_up_where_none_is_given(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    turn = await worker.turn()

    # Microsoft's JavaScript tests expect 32 hexadecimal digits.
    assert len(bytes.fromhex(turn.request.execution_id)) == 16
    assert (await client.state(id)).execution_id == turn.request.execution_id


@pytest.mark.checklist(6)
async def test_the_state_of_a_child_shows_its_parent(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    parent = await client.start()
    id = hub.new_id("child")

    await (await worker.turn()).decide(child(1, instance_id=id))

    assert (await client.state(id)).parent_instance_id == parent
    assert (await client.state(parent)).parent_instance_id is None


@pytest.mark.checklist(8)
async def test_an_instance_is_started_though_there_is_no_worker(client: Client) -> None:
    id = await client.start(input='"in"')

    state = await client.state(id)

    assert (state.orchestration_status, state.input) == (Status.PENDING, '"in"')
