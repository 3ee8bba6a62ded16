"""Restart and rewind: an instance that is over begins again, or tries again what failed."""

from __future__ import annotations

import grpc
import pytest

from durabletask.protocol import messages, methods
from tests.builders.contract import Client, EngineUnderTest, Worker, child, failure, rewritten
from tests.builders.sidecar import complete, failed, schedule

Status = messages.OrchestrationStatus


async def failed_instance(client: Client, worker: Worker, **fields) -> str:
    """An instance that failed because its activity did."""
    id = await client.start(**fields)
    await (await worker.turn(id)).decide(schedule(1))
    await (await worker.activity()).fail(failure("IOError", "disk"))
    await (await worker.turn(id)).decide(failed(2, failure("IOError", "disk")))
    await client.completed(id)
    return id


async def failed_family(hub: EngineUnderTest, client: Client, worker: Worker) -> tuple[str, str]:
    """A parent and a child; the parent failed because its child did."""
    parent, id = await client.start("parent"), hub.new_id("child")
    call = child(1, "child", instance_id=id, input='"in"')
    await (await worker.turn(parent)).decide(call)
    await (await worker.turn(id)).decide(failed(1, failure()))
    await (await worker.turn(parent)).decide(failed(2, failure()))
    await client.completed(parent)
    return parent, id


@pytest.mark.checklist(68)
async def test_a_restart_under_a_new_id_is_a_copy_of_the_beginning(client: Client) -> None:
    worker = client.worker()
    tags = {"color": "red"}
    old = await client.start("order", input='"in"', version="1", tags=tags)
    await (await worker.turn()).decide(complete(1, '"out"'))

    new = await client.restart(old, with_new_id=True)

    started = (await worker.turn()).new("execution_started")[0]
    state = await client.state(new)
    assert new != old
    assert (started.name, started.input, started.version) == ("order", '"in"', "1")
    assert started.tags == state.tags == tags
    assert (await client.state(old)).output == '"out"'


@pytest.mark.checklist(68)
async def test_a_restart_under_the_same_id_replaces_what_was(client: Client) -> None:
    worker = client.worker()
    tags = {"color": "red"}
    id = await client.start("order", input='"in"', version="1", tags=tags)
    await (await worker.turn()).decide(complete(1, '"out"'))
    before = await client.state(id)

    again = await client.restart(id, with_new_id=False)

    turn = await worker.turn()
    after = await client.state(id)
    assert again == id
    assert turn.past_events == []
    assert after.execution_id != before.execution_id
    assert (after.input, after.version, after.tags) == ('"in"', "1", tags)
    assert after.output is None


@pytest.mark.checklist(68)
async def test_a_child_that_is_restarted_has_no_parent_any_more(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    await (await worker.turn(id)).decide(complete(1))
    await worker.turn(parent)

    await client.restart(id, with_new_id=False)

    assert (await worker.turn(id)).new("execution_started")[0].parent_instance is None


@pytest.mark.checklist(68)
async def test_only_what_is_over_can_be_restarted(hub: EngineUnderTest, client: Client) -> None:
    live, missing = await client.start(), hub.new_id()

    codes = [
        await client.refusal(methods.RESTART_INSTANCE, instance_id=id) for id in (live, missing)
    ]

    assert codes == [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND]


@pytest.mark.checklist(69)
async def test_a_rewound_instance_tries_again_what_failed(client: Client) -> None:
    worker = client.worker()
    id = await failed_instance(client, worker)

    await client.rewind(id, "try again")
    rewinding = await worker.turn()
    await rewinding.decide(rewritten(rewinding))
    resumed = await worker.turn()
    await resumed.decide(schedule(1))
    await (await worker.activity()).finish('"fine"')
    last = await worker.turn()
    await last.decide(complete(2, '"done"'))

    state = await client.completed(id)
    # The worker takes nothing but exactly these for a rewind.
    assert rewinding.events == ["orchestrator_started", "execution_rewound"]
    assert rewinding.new("execution_rewound")[0].reason == "try again"
    assert rewinding.past_events[-1] == "execution_completed"
    assert resumed.events == ["orchestrator_started"]
    assert "execution_completed" not in resumed.past_events
    assert "task_failed" not in last.past_events
    assert last.new("task_completed")[0].result == '"fine"'
    assert (state.orchestration_status, state.output) == (Status.COMPLETED, '"done"')


@pytest.mark.checklist(69)
async def test_a_rewound_instance_shows_its_failure_no_more(client: Client) -> None:
    worker = client.worker()
    id = await failed_instance(client, worker)

    await client.rewind(id)
    turn = await worker.turn()
    await turn.decide(rewritten(turn))

    state = await client.state(id)
    assert state.orchestration_status == Status.RUNNING
    assert (state.failure_details, state.completed_timestamp) == (None, None)


@pytest.mark.checklist(69)
async def test_a_rewind_reaches_the_child_that_failed(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    parent, id = await failed_family(hub, client, worker)

    await client.rewind(parent)
    turn = await worker.turn(parent)
    await turn.decide(rewritten(turn))
    await (await worker.turn(parent)).decide()
    inner = await worker.turn(id)
    await inner.decide(rewritten(inner))
    await (await worker.turn(id)).decide(complete(1, '"fine"'))

    told = (await worker.turn(parent)).new("sub_orchestration_instance_completed")
    assert inner.events == ["orchestrator_started", "execution_rewound"]
    assert inner.past_events[-1] == "execution_completed"
    assert [each.result for each in told] == ['"fine"']


@pytest.mark.checklist(69)
async def test_a_rewind_makes_a_child_anew_that_was_purged(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await failed_family(hub, client, worker)
    await client.purge(id)

    await client.rewind(parent)
    turn = await worker.turn(parent)
    await turn.decide(rewritten(turn))
    await (await worker.turn(parent)).decide()
    anew = await worker.turn(id)
    await anew.decide(complete(1, '"fine"'))

    started = anew.new("execution_started")[0]
    told = (await worker.turn(parent)).new("sub_orchestration_instance_completed")
    assert anew.past_events == []
    assert (started.name, started.input) == ("child", '"in"')
    assert [each.result for each in told] == ['"fine"']


@pytest.mark.checklist(69)
async def test_what_came_for_a_failed_instance_is_not_in_the_turn_that_rewinds_it(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()
    await client.raise_event(id, "before")
    await turn.decide(failed(1, failure()))
    await client.raise_event(id, "after")

    await client.rewind(id)

    assert (await worker.turn()).events == ["orchestrator_started", "execution_rewound"]


@pytest.mark.checklist(70)
async def test_only_what_has_failed_can_be_rewound(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    completed = await client.start()
    await (await worker.turn()).decide(complete(1))
    live = await client.start()

    codes = [
        await client.refusal(methods.REWIND_INSTANCE, instance_id=id)
        for id in (completed, live, hub.new_id())
    ]

    failed_precondition = grpc.StatusCode.FAILED_PRECONDITION
    assert codes == [failed_precondition, failed_precondition, grpc.StatusCode.NOT_FOUND]
    assert await client.status(completed) == Status.COMPLETED


@pytest.mark.checklist(69)
async def test_a_rewind_keeps_what_succeeded_and_repeats_all_that_failed(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1, "good"), schedule(2, "bad"), schedule(3, "ugly"))
    for name in ("good", "bad", "ugly"):
        activity = await worker.activity(name)
        await (activity.finish('"kept"') if name == "good" else activity.fail(failure()))
    turn = await worker.turn()
    while len(turn.past("task_failed") + turn.new("task_failed")) < 2:
        await turn.decide()
        turn = await worker.turn()
    await turn.decide(failed(4, failure()))

    await client.rewind(id)
    rewinding = await worker.turn()
    await rewinding.decide(rewritten(rewinding))
    resumed = await worker.turn()
    await resumed.decide(schedule(2, "bad"), schedule(3, "ugly"))

    assert [each.result for each in resumed.past("task_completed")] == ['"kept"']
    assert {(await worker.next()).name, (await worker.next()).name} == {"bad", "ugly"}


@pytest.mark.checklist(69)
async def test_what_was_under_way_when_an_instance_failed_is_done_after_the_rewind(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1, "slow"), schedule(2, "bad"))
    slow = await worker.activity("slow")
    await (await worker.activity("bad")).fail(failure())
    await (await worker.turn()).decide(failed(3, failure()))
    # Nobody waits for it now.
    await slow.finish('"too late"')

    await client.rewind(id)
    rewinding = await worker.turn()
    await rewinding.decide(rewritten(rewinding))
    await (await worker.turn()).decide()
    await (await worker.activity("slow")).finish('"in time"')

    told = (await worker.turn()).new("task_completed")
    assert [(each.task_scheduled_id, each.result) for each in told] == [(1, '"in time"')]


@pytest.mark.checklist(69)
@pytest.mark.needs("restart")
async def test_a_rewind_outlives_a_restart(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    id = await failed_instance(client, worker)
    await client.rewind(id)

    client = await hub.restart()
    worker = client.worker()
    rewinding = await worker.turn()
    await rewinding.decide(rewritten(rewinding))
    client = await hub.restart()
    resumed = await client.worker().turn()

    assert rewinding.events == ["orchestrator_started", "execution_rewound"]
    assert resumed.events == ["orchestrator_started"]
    assert "task_failed" not in resumed.past_events


@pytest.mark.checklist(69)
async def test_an_instance_that_fails_again_can_be_rewound_again(client: Client) -> None:
    worker = client.worker()
    id = await failed_instance(client, worker)
    for _ in range(2):
        await client.rewind(id)
        rewinding = await worker.turn()
        assert rewinding.events == ["orchestrator_started", "execution_rewound"]
        await rewinding.decide(rewritten(rewinding))
        await (await worker.turn()).decide(schedule(1))
        await (await worker.activity()).fail(failure())
        await (await worker.turn()).decide(failed(2, failure()))

    assert (await client.completed(id)).orchestration_status == Status.FAILED
