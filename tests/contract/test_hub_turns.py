"""Turns: what a worker is given of an orchestration, and what becomes of its answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.protocol import codec, dialects, messages, methods, oneofs, wire
from tests.builders.contract import Client, EngineUnderTest, again, child, failure, send
from tests.builders.sidecar import complete, schedule, timer

Status = messages.OrchestrationStatus


@pytest.mark.checklist(15)
async def test_every_turn_begins_with_the_time_which_never_runs_backwards(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    turns = [await worker.turn()]
    for number in range(1, 4):
        hub.pass_time(seconds=1)
        await turns[-1].decide(schedule(number))
        await client.raise_event(id)
        hub.pass_time(seconds=1)
        turns.append(await worker.turn(id))

    heads = [turn.request.new_events[0].timestamp for turn in turns]
    assert [turn.events[0] for turn in turns] == ["orchestrator_started"] * 4
    assert turns[0].events[1] == "execution_started"
    assert heads == sorted(heads)


@pytest.mark.checklist(15)
async def test_events_have_the_times_at_which_they_came_and_were_decided(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    first = await worker.turn()
    hub.pass_time(seconds=1)
    await first.decide(schedule(1))
    hub.pass_time(seconds=1)
    await client.raise_event(id)

    second = (await worker.turn()).request

    scheduled, (head, raised) = second.past_events[-1], second.new_events
    begun = first.request.new_events[0].timestamp
    # What came in is older than the turn that it is in; what was decided is younger.
    assert begun <= scheduled.timestamp <= raised.timestamp <= head.timestamp
    assert first.request.new_events[1].timestamp <= begun


@pytest.mark.checklist(15)
async def test_what_was_new_in_one_turn_is_the_past_of_the_next_unchanged(client: Client) -> None:
    worker = client.worker()
    id = await client.start(input='"in"', tags={"color": "red"})
    first = await worker.turn()
    await first.decide()
    await client.raise_event(id)

    second = await worker.turn()

    assert second.request.past_events == first.request.new_events


@pytest.mark.checklist(16)
async def test_events_that_come_during_a_turn_are_in_the_next_one_in_their_order(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()

    names = ["first", "second", "third"]
    for name in names:
        await client.raise_event(id, name)
    await turn.decide()

    assert turn.raised == []
    assert (await worker.turn()).raised == names


@pytest.mark.checklist(17)
async def test_a_thousand_events_and_more_come_in_order_and_in_batches(client: Client) -> None:
    names = [f"event {number}" for number in range(1200)]
    id = await client.start()
    for name in names:
        await client.raise_event(id, name)
    worker = client.worker()

    batches: list[list[str]] = []
    while sum(map(len, batches)) < len(names):
        turn = await worker.turn()
        batches.append(turn.raised)
        await turn.decide()

    assert [name for batch in batches for name in batch] == names
    assert max(map(len, batches)) <= 1000


@pytest.mark.checklist(18)
async def test_of_one_instance_only_one_turn_is_out(client: Client) -> None:
    first = client.worker(max_concurrent_orchestration_work_items=1)
    busy = await client.start()
    turn = await first.turn()
    second = client.worker()

    await client.raise_event(busy)
    other = await client.start()
    meanwhile = await second.next()
    await turn.decide()
    follow_up = await first.next()

    assert meanwhile.instance == other
    assert (follow_up.instance, follow_up.raised) == (busy, ["go"])


@pytest.mark.checklist(19)
async def test_the_custom_status_is_what_the_last_turn_said(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    shown = []
    for custom_status in ('"busy"', None, ""):
        await (await worker.turn()).decide(custom_status=custom_status)
        shown.append((await client.state(id)).custom_status)
        await client.raise_event(id)

    assert shown == ['"busy"', None, ""]


@pytest.mark.checklist(20)
async def test_an_action_that_asks_for_nothing_fails_the_instance(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    await (await worker.turn()).decide(messages.OrchestratorAction(id=1))

    state = await client.completed(id)
    assert state.orchestration_status == Status.FAILED
    assert state.failure_details.error_type


@pytest.mark.checklist(20)
async def test_an_action_of_a_later_protocol_fails_the_instance_once(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()
    response = codec.encode(
        messages.OrchestratorResponse(instance_id=id, completion_token=turn.token),
        dialects.TASKHUB,
    )
    # An action with the id 1 and, as its kind, an empty message of the number 99.
    action = b"\x08\x01" + wire.length_delimited(99, b"")

    await client.peer.send(
        methods.COMPLETE_ORCHESTRATOR_TASK, response + wire.length_delimited(2, action)
    )

    state = await client.completed(id)
    other = await client.start()
    assert state.orchestration_status == Status.FAILED
    assert state.failure_details.error_type
    # Nobody is asked to take that turn again.
    assert (await worker.next()).instance == other


@pytest.mark.checklist(21)
async def test_an_activity_that_is_asked_for_twice_runs_once(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1, "one"))
    await client.raise_event(id)

    await (await worker.turn()).decide(schedule(1, "one"), schedule(2, "two"))

    activities = [await worker.next(), await worker.next()]
    await activities[1].finish()
    turn = await worker.next()
    assert [activity.name for activity in activities] == ["one", "two"]
    assert turn.past_events.count("task_scheduled") == 2


@pytest.mark.checklist(21)
@pytest.mark.needs("clock")
async def test_a_timer_that_is_asked_for_twice_fires_once(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    nap = timer(1, hub.now().replace(year=hub.now().year + 1))
    await (await worker.turn()).decide(nap)
    await client.raise_event(id)
    await (await worker.turn()).decide(nap)

    hub.advance(days=366)

    turn = await worker.turn()
    assert [fired.timer_id for fired in turn.new("timer_fired")] == [1]
    assert turn.past_events.count("timer_created") == 1


@pytest.mark.checklist(21)
async def test_a_child_that_is_asked_for_twice_is_started_once(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    id = await client.start()
    call = child(1, instance_id=hub.new_id("child"))
    await (await worker.turn(id)).decide(call)
    await client.raise_event(id)

    await (await worker.turn(id)).decide(call)
    started = await worker.next()
    await started.decide(complete(1, '"done"'))

    turn = await worker.next()
    assert [each.result for each in turn.new("sub_orchestration_instance_completed")] == ['"done"']
    assert turn.past_events.count("sub_orchestration_instance_created") == 1


@pytest.mark.checklist(22)
async def test_a_retry_may_use_the_same_id_again(client: Client) -> None:
    worker = client.worker()
    await client.start()
    await (await worker.turn()).decide(schedule(1))
    await (await worker.activity()).fail(failure())

    # The official worker numbers all attempts of one activity alike.
    turn = await worker.turn()
    await turn.decide(schedule(1))
    await (await worker.activity()).finish('"second"')

    last = await worker.turn()
    assert turn.events == ["orchestrator_started", "task_failed"]
    assert [each.result for each in last.new("task_completed")] == ['"second"']


@pytest.mark.checklist(22)
async def test_a_late_result_of_the_first_attempt_is_not_that_of_the_second(
    client: Client,
) -> None:
    doomed = client.worker()
    await client.start()
    await (await doomed.turn()).decide(schedule(1))
    late = await doomed.activity()
    doomed.leave()
    worker = client.worker()
    await (await worker.activity()).fail(failure())
    await (await worker.turn()).decide(schedule(1))
    second = await worker.activity()

    await late.finish('"first"')
    await second.finish('"second"')

    turn = await worker.turn()
    assert [each.result for each in turn.new("task_completed")] == ['"second"']


@pytest.mark.checklist(23)
async def test_ids_may_have_gaps_and_occur_twice(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    target = await client.start(scheduled_start_timestamp=hub.now().replace(year=3000))
    id = await client.start()

    await (await worker.turn()).decide(schedule(5, "five"), schedule(2, "two"))
    for name in ("five", "two"):
        await (await worker.activity(name)).finish(f'"{name}"')
        last = await worker.turn()
        # .NET numbers what it sends at the end like the end itself.
        ending = [send(9, target), complete(9)] if name == "two" else []
        await last.decide(*ending)

    assert (await client.completed(id)).orchestration_status == Status.COMPLETED
    scheduled = [event for event in last.request.past_events if event.task_scheduled]
    assert [event.event_id for event in scheduled] == [5, 2]
    assert last.new("task_completed")[0].task_scheduled_id == 2


@pytest.mark.checklist(15)
async def test_history_holds_only_events_that_all_workers_understand(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1))
    await (await worker.activity()).finish()
    await client.raise_event(id)

    events = (await worker.turn()).request.past_events

    # Other workers fail an orchestration whose history has orchestratorCompleted in it.
    assert [oneofs.which(event) for event in events] == [
        "orchestrator_started",
        "execution_started",
        "task_scheduled",
    ]


@pytest.mark.checklist(19)
async def test_the_custom_status_goes_over_to_the_next_generation(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    await (await worker.turn()).decide(again(1), custom_status='"busy"')

    assert (await client.state(id)).custom_status == '"busy"'


@pytest.mark.checklist(20)
async def test_of_two_endings_the_first_one_counts(client: Client) -> None:
    worker = client.worker()
    id = await client.start()

    await (await worker.turn()).decide(complete(1, '"first"'), complete(2, '"second"'))

    assert (await client.completed(id)).output == '"first"'


@pytest.mark.checklist(21)
@pytest.mark.needs("clock")
async def test_a_timer_of_the_past_fires_at_once(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    await client.start()
    past = hub.now() - timedelta(days=1)

    await (await worker.turn()).decide(timer(1, past))

    turn = await worker.turn()
    assert turn.new("timer_fired")[0].fire_at == past
    assert turn.request.new_events[0].timestamp >= hub.now()
