"""Suspend and resume: what comes meanwhile waits, and nothing is done twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.protocol import messages
from tests.builders.contract import Client, EngineUnderTest, again
from tests.builders.sidecar import complete, schedule, timer

Status = messages.OrchestrationStatus


@pytest.mark.checklist(36)
async def test_to_resume_what_is_not_suspended_changes_nothing(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide()

    await client.resume(id)
    await client.raise_event(id)

    # A worker that is told of a resumption without a suspension fails the orchestration.
    assert (await worker.turn()).events == ["orchestrator_started", "event_raised"]
    assert await client.status(id) == Status.RUNNING


@pytest.mark.checklist(37)
async def test_one_resumption_ends_any_number_of_suspensions(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide()

    await client.suspend(id)
    await client.suspend(id)
    await client.raise_event(id)
    suspended = await client.status(id)
    await client.resume(id)

    turn = await worker.turn()
    seen = turn.past_events + turn.events
    assert suspended == Status.SUSPENDED
    assert turn.raised == ["go"]
    assert seen.count("execution_suspended") == seen.count("execution_resumed") == 1
    assert await client.status(id) == Status.RUNNING


@pytest.mark.checklist(37)
async def test_history_tells_why_it_was_suspended_and_resumed(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide()
    await client.suspend(id, "lunch")
    await client.resume(id, "coffee")

    turn = await worker.turn()

    events = [*turn.request.past_events, *turn.request.new_events]
    reasons = [
        change.input
        for event in events
        if (change := event.execution_suspended or event.execution_resumed)
    ]
    assert reasons == ["lunch", "coffee"]


@pytest.mark.checklist(38)
async def test_an_activity_that_ends_while_suspended_runs_once_whatever_else_comes(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1))
    activity = await worker.activity()

    await client.suspend(id)
    await activity.finish('"done"')
    for _ in range(3):
        await client.raise_event(id)
    other = await client.start()
    meanwhile = await worker.next()
    status = await client.status(id)
    await client.resume(id)

    turn = await worker.next()
    assert (meanwhile.instance, status) == (other, Status.SUSPENDED)
    assert turn.raised == ["go"] * 3
    assert [each.result for each in turn.new("task_completed")] == ['"done"']
    assert turn.past_events.count("task_scheduled") == 1


@pytest.mark.checklist(38)
async def test_a_turn_that_was_out_when_it_was_suspended_is_committed(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()

    await client.suspend(id)
    await turn.decide(schedule(1))
    await (await worker.activity()).finish()
    status = await client.status(id)
    await client.resume(id)

    follow_up = await worker.turn()
    assert status == Status.SUSPENDED
    assert "task_scheduled" in follow_up.past_events
    assert "task_completed" in follow_up.events


@pytest.mark.checklist(38)
async def test_an_answer_that_ends_the_instance_counts_though_it_is_suspended(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()

    await client.suspend(id)
    await turn.decide(complete(1, '"done"'))

    state = await client.completed(id)
    assert (state.orchestration_status, state.output) == (Status.COMPLETED, '"done"')


@pytest.mark.checklist(39)
@pytest.mark.needs("clock")
async def test_a_timer_that_is_due_while_suspended_fires_when_resumed(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(timer(1, hub.now() + timedelta(minutes=1)))

    await client.suspend(id)
    hub.advance(hours=1)
    other = await client.start()
    meanwhile = await worker.next()
    await client.resume(id)

    turn = await worker.next()
    assert meanwhile.instance == other
    assert [fired.timer_id for fired in turn.new("timer_fired")] == [1]


@pytest.mark.checklist(40)
async def test_a_suspended_instance_can_be_terminated(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide()
    await client.suspend(id)

    await client.terminate(id, '"enough"')

    state = await client.completed(id)
    assert (state.orchestration_status, state.output) == (Status.TERMINATED, '"enough"')


@pytest.mark.checklist(41)
async def test_an_instance_can_be_suspended_before_its_first_turn(client: Client) -> None:
    id = await client.start()
    await client.suspend(id)
    worker = client.worker()

    other = await client.start()
    meanwhile = await worker.next()
    suspended = await client.status(id)
    await client.resume(id)
    resumed = await client.status(id)

    turn = await worker.next()
    assert meanwhile.instance == other
    assert (suspended, resumed) == (Status.SUSPENDED, Status.PENDING)
    # An orchestrator that has not begun must not hear of the pair before its own start.
    assert turn.events == ["orchestrator_started", "execution_started"]


@pytest.mark.checklist(38)
async def test_a_suspended_instance_that_continues_as_new_waits_in_its_next_generation(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()

    await client.suspend(id)
    await turn.decide(again(1, '"next"'))
    other = await client.start()
    meanwhile = await worker.next()
    status = await client.status(id)
    await client.resume(id)

    assert (meanwhile.instance, status) == (other, Status.SUSPENDED)
    assert (await worker.next()).new("execution_started")[0].input == '"next"'


@pytest.mark.checklist(41)
@pytest.mark.needs("clock")
async def test_a_delayed_instance_that_was_suspended_does_not_start_before_it_is_resumed(
    hub: EngineUnderTest, client: Client
) -> None:
    id = await client.start(scheduled_start_timestamp=hub.now() + timedelta(hours=1))
    worker = client.worker()
    await client.suspend(id)

    hub.advance(hours=2)
    other = await client.start()
    meanwhile = await worker.next()
    await client.resume(id)

    assert meanwhile.instance == other
    assert (await worker.next()).instance == id


@pytest.mark.checklist(37)
@pytest.mark.needs("restart")
async def test_an_instance_is_suspended_still_after_a_restart(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide()
    await client.suspend(id)
    await client.raise_event(id)

    client = await hub.restart()
    worker = client.worker()
    other = await client.start()
    meanwhile = await worker.next()
    status = await client.status(id)
    await client.resume(id)

    assert (meanwhile.instance, status) == (other, Status.SUSPENDED)
    assert (await worker.next()).raised == ["go"]
