"""Sub-orchestrations: how they are named and begun, and what their parents hear."""

from __future__ import annotations

import pytest

from durabletask.protocol import messages
from tests.builders.contract import Client, EngineUnderTest, child, failure
from tests.builders.sidecar import complete, failed, schedule

Status = messages.OrchestrationStatus


@pytest.mark.checklist(51)
async def test_a_child_without_an_id_is_named_after_its_parent_and_its_action(
    client: Client,
) -> None:
    worker = client.worker()
    parent = await client.start()

    await (await worker.turn()).decide(child(10), child(0x1ABCD))

    started = {(await worker.turn()).instance, (await worker.turn()).instance}
    assert started == {f"{parent}:000a", f"{parent}:1abcd"}


@pytest.mark.checklist(51)
async def test_a_child_begins_with_its_own_version_its_input_and_its_parent(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent = await client.start("parent", version="1", tags={"color": "red"})
    turn = await worker.turn()
    id = hub.new_id("child")

    call = child(3, "child", instance_id=id, version="2", input='"in"', tags={"size": "small"})
    await turn.decide(call)

    started = (await worker.turn(id)).new("execution_started")[0]
    link = started.parent_instance
    assert (started.name, started.version, started.input) == ("child", "2", '"in"')
    assert started.tags == {"color": "red", "size": "small"}
    assert (link.task_scheduled_id, link.name) == (3, "parent")
    assert link.orchestration_instance.instance_id == parent
    assert link.orchestration_instance.execution_id == turn.request.execution_id


@pytest.mark.checklist(52)
async def test_the_failure_of_a_child_reaches_its_parent_as_it_is(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    details = failure(
        "OuterError",
        "outer",
        stack_trace="line 1",
        is_non_retriable=True,
        inner_failure=failure("InnerError", "inner"),
        properties={"code": '"E42"', "final": "true"},
    )

    await (await worker.turn(id)).decide(failed(1, details))

    (told,) = (await worker.turn(parent)).new("sub_orchestration_instance_failed")
    assert told.task_scheduled_id == 1
    assert told.failure_details == details


@pytest.mark.checklist(52)
async def test_the_failure_of_an_activity_reaches_its_orchestrator_as_it_is(
    client: Client,
) -> None:
    worker = client.worker()
    await client.start()
    await (await worker.turn()).decide(schedule(1))
    details = failure(
        "OuterError",
        "outer",
        stack_trace="line 1",
        is_non_retriable=True,
        inner_failure=failure("InnerError", "inner"),
    )

    await (await worker.activity()).fail(details)

    (told,) = (await worker.turn()).new("task_failed")
    assert (told.task_scheduled_id, told.failure_details) == (1, details)


@pytest.mark.checklist(53)
async def test_the_parent_of_a_terminated_child_is_told_so(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))

    await client.terminate(id, '"enough"')

    (told,) = (await worker.turn(parent)).new("sub_orchestration_instance_failed")
    assert told.failure_details.error_type
    assert id in told.failure_details.error_message
    assert "enough" in told.failure_details.error_message


@pytest.mark.checklist(54)
async def test_a_child_whose_id_belongs_to_a_live_instance_fails_the_call_and_nothing_else(
    client: Client,
) -> None:
    worker = client.worker()
    taken = await client.start(input='"mine"')
    await (await worker.turn(taken)).decide()
    parent = await client.start()

    await (await worker.turn(parent)).decide(child(1, instance_id=taken))

    (told,) = (await worker.turn(parent)).new("sub_orchestration_instance_failed")
    state = await client.state(taken)
    assert (told.task_scheduled_id, bool(told.failure_details.error_type)) == (1, True)
    assert (state.orchestration_status, state.input) == (Status.RUNNING, '"mine"')


@pytest.mark.checklist(54)
async def test_a_child_replaces_an_instance_of_its_id_that_has_ended(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    await (await worker.turn(id)).decide(failed(1, failure()))

    # Workers retry a sub-orchestration under the same id.
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    second = await worker.turn(id)
    await second.decide(complete(1, '"done"'))

    turn = await worker.turn(parent)
    assert second.past_events == []
    assert [each.result for each in turn.new("sub_orchestration_instance_completed")] == ['"done"']


@pytest.mark.checklist(55)
async def test_the_end_of_a_child_does_not_reach_an_instance_that_replaced_its_parent(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))

    await client.start(id=parent, replaceable=[Status.RUNNING])
    await (await worker.turn(parent)).decide(schedule(1))
    await (await worker.turn(id)).decide(complete(1, '"old"'))
    await (await worker.activity()).finish()

    assert (await worker.turn(parent)).events == ["orchestrator_started", "task_completed"]


@pytest.mark.checklist(55)
async def test_a_child_ends_well_though_its_parent_was_purged(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    await client.terminate(parent)
    await client.purge(parent)

    await (await worker.turn(id)).decide(complete(1, '"done"'))

    assert (await client.completed(id)).output == '"done"'
    assert await client.state(parent) is None


@pytest.mark.checklist(56)
@pytest.mark.needs("clock")
async def test_a_child_that_runs_for_a_minute_reports_all_the_same(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    turn = await worker.turn(id)

    hub.advance(seconds=60)
    await turn.decide(complete(1, '"done"'))

    (told,) = (await worker.turn(parent)).new("sub_orchestration_instance_completed")
    assert (told.task_scheduled_id, told.result) == (1, '"done"')


@pytest.mark.checklist(51)
@pytest.mark.parametrize(
    "fields", [{"name": ""}, {"instance_id": "@counter@key"}], ids=["no name", "an entity's id"]
)
async def test_a_child_that_cannot_be_fails_its_call_and_nothing_else(
    client: Client, fields: dict[str, str]
) -> None:
    worker = client.worker()
    id = await client.start()

    await (await worker.turn()).decide(child(1, **fields))

    (told,) = (await worker.turn(id)).new("sub_orchestration_instance_failed")
    assert (told.task_scheduled_id, bool(told.failure_details.error_message)) == (1, True)


@pytest.mark.checklist(54)
async def test_an_instance_cannot_have_itself_for_a_child(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    await (await worker.turn()).decide(child(1, instance_id=id))

    assert len((await worker.turn(id)).new("sub_orchestration_instance_failed")) == 1


@pytest.mark.checklist(55)
async def test_a_child_that_is_replaced_does_not_leave_its_parent_waiting(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))

    await client.start(id=id, replaceable=[Status.PENDING, Status.RUNNING])

    (told,) = (await worker.turn(parent)).new("sub_orchestration_instance_failed")
    assert told.failure_details.error_type
