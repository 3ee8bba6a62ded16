"""Continue-as-new: what goes over to the next generation, and what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.protocol import events, messages
from tests.builders.contract import (
    Client,
    EngineUnderTest,
    again,
    call,
    child,
    guid,
    lock,
    send,
    signal,
    unlock,
)
from tests.builders.sidecar import complete, schedule, timer

Status = messages.OrchestrationStatus


@pytest.mark.checklist(46)
async def test_carried_events_come_first_and_then_those_that_came_meanwhile(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()
    await client.raise_event(id, "late")
    await client.raise_event(id, "later")

    carried = [events.event_raised(name, at=None) for name in ("old", "older")]
    await turn.decide(again(1, '"next"', carryover_events=carried))

    following = await worker.turn()
    assert following.past_events == []
    assert following.events[:2] == ["orchestrator_started", "execution_started"]
    assert following.new("execution_started")[0].input == '"next"'
    assert following.raised == ["old", "older", "late", "later"]


@pytest.mark.checklist(46)
async def test_the_next_generation_is_another_execution(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    first = await worker.turn()

    await first.decide(again(1))

    second = await worker.turn()
    assert second.instance == id
    assert second.request.execution_id != first.request.execution_id
    assert await client.status(id) == Status.RUNNING


@pytest.mark.checklist(47)
async def test_an_event_that_is_sent_along_with_continue_as_new_arrives(client: Client) -> None:
    worker = client.worker()
    target = await client.start()
    await (await worker.turn(target)).decide()
    id = await client.start()

    await (await worker.turn(id)).decide(send(1, target), again(2))

    assert (await worker.turn(target)).raised == ["go"]
    assert (await worker.turn(id)).past_events == []


@pytest.mark.checklist(47)
async def test_a_signal_that_is_sent_along_with_continue_as_new_arrives(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    await client.start()

    await (await worker.turn()).decide(signal(1, hub.entity(), "add"), again(2))

    assert (await worker.batch()).operations == ["add"]


@pytest.mark.checklist(47)
async def test_an_unlock_that_is_sent_along_with_continue_as_new_frees_the_entity(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id, entity, section = await client.start(), hub.entity(), guid()
    first = await worker.turn()
    await first.decide(lock(1, section, entity, by=first))
    turn = await worker.turn()
    held = (await client.entity(entity)).locked_by

    await turn.decide(unlock(2, section, entity, by=turn), again(3))
    await client.signal(entity, "add")

    assert turn.events == ["orchestrator_started", "entity_lock_granted"]
    assert held == id
    assert (await worker.batch()).operations == ["add"]


@pytest.mark.checklist(48)
async def test_a_result_for_the_last_generation_does_not_reach_the_next(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1, "old"))
    old = await worker.activity("old")
    await client.raise_event(id)
    await (await worker.turn()).decide(again(2))

    await (await worker.turn()).decide(schedule(1, "new"))
    await old.finish('"old"')
    await (await worker.activity("new")).finish('"new"')

    turn = await worker.turn()
    assert [each.result for each in turn.new("task_completed")] == ['"new"']


@pytest.mark.checklist(48)
@pytest.mark.needs("clock")
async def test_a_timer_of_the_last_generation_does_not_fire_in_the_next(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(timer(1, hub.now() + timedelta(hours=1)))
    await client.raise_event(id)
    await (await worker.turn()).decide(again(2))
    await (await worker.turn()).decide(timer(1, hub.now() + timedelta(hours=2)))

    hub.advance(hours=1)
    other = await client.start()
    meanwhile = await worker.next()
    hub.advance(hours=1)

    turn = await worker.next()
    assert meanwhile.instance == other
    assert (turn.instance, turn.events) == (id, ["orchestrator_started", "timer_fired"])


@pytest.mark.checklist(48)
async def test_the_end_of_a_child_of_the_last_generation_does_not_reach_the_next(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id, old, new = await client.start(), hub.new_id("old"), hub.new_id("new")
    await (await worker.turn(id)).decide(child(1, instance_id=old))
    await client.raise_event(id)
    await (await worker.turn(id)).decide(again(2))
    await (await worker.turn(id)).decide(child(1, instance_id=new))

    await (await worker.turn(old)).decide(complete(1, '"old"'))
    await (await worker.turn(new)).decide(complete(1, '"new"'))

    turn = await worker.turn(id)
    assert [each.result for each in turn.new("sub_orchestration_instance_completed")] == ['"new"']


@pytest.mark.checklist(48)
async def test_an_answer_of_an_entity_to_the_last_generation_does_not_reach_the_next(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id, entity = await client.start(), hub.entity()
    first = await worker.turn()
    await first.decide(call(1, entity, by=first))
    old = await worker.batch()
    await client.raise_event(id)
    await (await worker.turn()).decide(again(2))
    await (await worker.turn()).decide(schedule(1))

    await old.operate()
    await (await worker.activity()).finish()

    assert (await worker.turn()).events == ["orchestrator_started", "task_completed"]


@pytest.mark.slow
@pytest.mark.checklist(49)
async def test_ten_thousand_generations_follow_one_another_and_leave_no_history(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start(input="0")

    for number in range(10_000):
        turn = await worker.turn()
        assert turn.new("execution_started")[0].input == str(number)
        assert len(turn.request.past_events) == 0
        await turn.decide(again(1, str(number + 1)))
    await (await worker.turn()).decide(complete(1, '"done"'))

    assert (await client.completed(id)).output == '"done"'


@pytest.mark.checklist(50)
async def test_tags_version_and_birth_stay_over_generations(client: Client) -> None:
    worker = client.worker()
    id = await client.start(version="1", tags={"color": "red"})
    before = await client.state(id)

    await (await worker.turn()).decide(again(1))

    started = (await worker.turn()).new("execution_started")[0]
    after = await client.state(id)
    assert (started.version, started.tags) == ("1", {"color": "red"})
    assert (after.version, after.tags) == ("1", {"color": "red"})
    assert after.created_timestamp == before.created_timestamp


@pytest.mark.checklist(50)
async def test_a_generation_may_have_a_new_version(client: Client) -> None:
    worker = client.worker()
    id = await client.start(version="1")

    await (await worker.turn()).decide(again(1, new_version="2"))

    assert (await worker.turn()).new("execution_started")[0].version == "2"
    assert (await client.state(id)).version == "2"


@pytest.mark.checklist(50)
async def test_a_child_that_continues_as_new_reports_to_its_parent_all_the_same(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(7, instance_id=id))
    await (await worker.turn(id)).decide(again(1))

    second = await worker.turn(id)
    await second.decide(complete(1, '"done"'))

    started = second.new("execution_started")[0]
    (completed,) = (await worker.turn(parent)).new("sub_orchestration_instance_completed")
    assert started.parent_instance.orchestration_instance.instance_id == parent
    assert (completed.task_scheduled_id, completed.result) == (7, '"done"')


@pytest.mark.checklist(46)
async def test_an_instance_that_was_delayed_is_not_delayed_again(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    await client.start(scheduled_start_timestamp=hub.now() - timedelta(seconds=1))

    await (await worker.turn()).decide(again(1))

    started = (await worker.turn()).new("execution_started")[0]
    assert started.scheduled_start_timestamp is None


@pytest.mark.checklist(49)
@pytest.mark.needs("restart")
async def test_a_generation_outlives_a_restart(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(again(1, '"next"'))
    await client.raise_event(id)

    client = await hub.restart()

    turn = await client.worker().turn()
    assert (turn.past_events, turn.raised) == ([], ["go"])
    assert turn.new("execution_started")[0].input == '"next"'
