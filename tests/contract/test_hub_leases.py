"""Leases: work that is out comes back when it must, counts once, and goes to whom it suits."""

from __future__ import annotations

import grpc
import pytest

from durabletask.protocol import messages
from tests.builders.contract import Client, EngineUnderTest, Work, Worker
from tests.builders.sidecar import complete, schedule

Status = messages.OrchestrationStatus
KINDS = ["turn", "activity", "batch"]


async def handed_out(hub: EngineUnderTest, client: Client, worker: Worker, kind: str) -> Work:
    """One piece of work of that kind, in the hands of the worker."""
    if kind == "batch":
        await client.signal(hub.entity(), "add")
        return await worker.batch()
    await client.start()
    turn = await worker.turn()
    if kind == "turn":
        return turn
    await turn.decide(schedule(1))
    return await worker.activity()


async def settle(work: Work, *, first: bool = True) -> None:
    """Answer it, with an answer that tells the first one from others."""
    if work.kind == "orchestrator_request":
        await work.decide(complete(1, '"first"' if first else '"other"'))
    elif work.kind == "activity_request":
        await work.finish('"first"' if first else '"other"')
    else:
        await work.operate(state="first" if first else "other")


async def outcome(client: Client, worker: Worker, work: Work) -> str | None:
    """What came of it, without quotes."""
    if work.kind == "orchestrator_request":
        return (await client.completed(work.instance)).output.strip('"')
    if work.kind == "activity_request":
        (completed,) = (await worker.turn(work.instance)).new("task_completed")
        return completed.result.strip('"')
    return (await client.entity(work.instance)).serialized_state


@pytest.mark.checklist(24)
@pytest.mark.needs("clock")
@pytest.mark.parametrize("kind", KINDS)
async def test_work_of_a_broken_stream_goes_to_another_worker_while_no_time_passes(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    doomed = client.worker()
    held = await handed_out(hub, client, doomed, kind)
    second = client.worker()
    await second.opened()

    doomed.leave()

    again = await second.next()
    assert (again.kind, again.name) == (held.kind, held.name)
    assert again.token != held.token


@pytest.mark.checklist(24)
@pytest.mark.needs("clock")
async def test_work_of_a_broken_connection_goes_to_another_worker_while_no_time_passes(
    hub: EngineUnderTest, client: Client
) -> None:
    doomed = await hub.client()
    id = await client.start()
    held = await doomed.worker().turn()

    await doomed.peer.channel.close()

    again = await client.worker().next()
    assert (again.instance, again.events) == (id, held.events)


@pytest.mark.checklist(25)
@pytest.mark.parametrize("kind", ["turn", "batch"])
async def test_the_answer_to_work_that_was_handed_out_anew_is_accepted_and_changes_nothing(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    doomed = client.worker()
    stale = await handed_out(hub, client, doomed, kind)
    doomed.leave()
    worker = client.worker()
    current = await worker.next()

    await settle(stale, first=False)
    await settle(current)

    assert await outcome(client, worker, current) == "first"


@pytest.mark.checklist(25)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_comes_twice_is_accepted_and_counts_once(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    worker = client.worker()
    work = await handed_out(hub, client, worker, kind)

    await settle(work)
    await settle(work, first=False)

    assert await outcome(client, worker, work) == "first"


@pytest.mark.checklist(25)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_nobody_issued_is_accepted_and_changes_nothing(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    worker = client.worker()
    work = await handed_out(hub, client, worker, kind)
    token, work.item.completion_token, work.token = work.token, "nobody's", "nobody's"

    await settle(work, first=False)
    await work.abandon()
    work.item.completion_token = work.token = token
    await settle(work)

    assert await outcome(client, worker, work) == "first"


@pytest.mark.checklist(26)
async def test_a_result_is_taken_though_its_stream_has_ended(client: Client) -> None:
    doomed = client.worker()
    await client.start()
    await (await doomed.turn()).decide(schedule(1))
    activity = await doomed.activity()
    doomed.leave()

    await activity.finish('"late"')

    # Nobody does the work a second time.
    turn = await client.worker().next()
    assert [each.result for each in turn.new("task_completed")] == ['"late"']


@pytest.mark.checklist(26)
@pytest.mark.needs("restart")
async def test_a_result_is_taken_though_the_engine_was_started_anew(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    await client.start()
    await (await worker.turn()).decide(schedule(1))
    activity = await worker.activity()

    client = await hub.restart()
    await activity.through(client).finish('"late"')

    turn = await client.worker().next()
    assert [each.result for each in turn.new("task_completed")] == ['"late"']


@pytest.mark.checklist(26)
@pytest.mark.parametrize("kind", ["turn", "batch"])
async def test_the_answer_of_an_ended_stream_does_no_harm(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    doomed = client.worker()
    late = await handed_out(hub, client, doomed, kind)
    doomed.leave()

    await settle(late)
    other = await client.start()

    # Whether or not it counted, the instance goes on to its end.
    worker = client.worker()
    while (work := await worker.next()).instance != other:
        await settle(work)
    assert await outcome(client, worker, late) == "first"


@pytest.mark.checklist(27)
@pytest.mark.parametrize("kind", KINDS[:2])
async def test_a_worker_that_sends_no_token_is_understood(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    worker = client.worker()
    work = await handed_out(hub, client, worker, kind)
    work.item.completion_token = ""

    await settle(work)

    assert await outcome(client, worker, work) == "first"


@pytest.mark.checklist(28)
@pytest.mark.parametrize("kind", KINDS)
async def test_abandoned_work_comes_back(hub: EngineUnderTest, client: Client, kind: str) -> None:
    worker = client.worker()
    work = await handed_out(hub, client, worker, kind)

    await work.abandon()

    again = await worker.next()
    assert (again.kind, again.name) == (work.kind, work.name)
    assert again.token != work.token


@pytest.mark.checklist(28)
@pytest.mark.needs("clock")
@pytest.mark.parametrize("kind", KINDS)
async def test_work_that_is_abandoned_again_rests_for_longer_and_longer(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    worker = client.worker()
    work = await handed_out(hub, client, worker, kind)
    await work.abandon()
    await (await worker.next()).abandon()

    other = await client.start()
    meanwhile = await worker.next()
    hub.advance(seconds=60)
    again = await worker.next()

    assert meanwhile.instance == other
    assert (again.kind, again.name) == (work.kind, work.name)


@pytest.mark.checklist(30)
@pytest.mark.needs("clock")
async def test_an_activity_of_ten_minutes_runs_once(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    await client.start()
    await (await worker.turn()).decide(schedule(1))
    activity = await worker.activity()
    second = client.worker()
    await second.opened()

    for _ in range(20):
        hub.advance(seconds=30)
        await worker.ping()
    others = [await client.start(), await client.start()]
    meanwhile = {(await worker.next()).instance, (await second.next()).instance}
    await activity.finish('"done"')

    turn = await worker.next()
    assert meanwhile == set(others)
    assert [each.result for each in turn.new("task_completed")] == ['"done"']


@pytest.mark.checklist(31)
async def test_a_worker_is_given_no_more_turns_than_it_takes_at_once(client: Client) -> None:
    first = client.worker(max_concurrent_orchestration_work_items=2)
    ids = {await client.start() for _ in range(3)}
    held = [await first.next(), await first.next()]

    rest = await client.worker().next()

    assert {work.instance for work in (*held, rest)} == ids


@pytest.mark.checklist(31)
async def test_a_worker_is_given_no_more_activities_than_it_takes_at_once(client: Client) -> None:
    worker = client.worker(max_concurrent_activity_work_items=1)
    await client.start()
    await (await worker.turn()).decide(schedule(1, "one"), schedule(2, "two"))
    first = await worker.next()

    other = await client.start()
    meanwhile = await worker.next()
    await first.finish()
    second = await worker.activity()

    assert meanwhile.instance == other
    assert {first.name, second.name} == {"one", "two"}


@pytest.mark.checklist(31)
async def test_a_worker_is_given_no_more_entities_than_it_takes_at_once(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker(max_concurrent_entity_work_items=1)
    entities = [hub.entity(), hub.entity()]
    for entity in entities:
        await client.signal(entity, "add")
    first = await worker.next()

    other = await client.start()
    meanwhile = await worker.next()
    await first.operate(state="1")
    second = await worker.batch()

    assert meanwhile.instance == other
    assert {first.instance, second.instance} == set(entities)


@pytest.mark.checklist(32)
async def test_a_worker_gets_only_the_orchestrations_and_versions_that_it_filters_for(
    client: Client,
) -> None:
    await client.start("order", version="1")
    new = await client.start("order", version="2")
    any_version = await client.start("refund", version="9")
    picky = client.worker(
        work_item_filters=messages.WorkItemFilters(
            orchestrations=[
                messages.OrchestrationFilter(name="order", versions=["2"]),
                messages.OrchestrationFilter(name="refund"),
            ]
        )
    )

    first = [await picky.next(), await picky.next()]
    last = await client.start("refund")
    after = await picky.next()

    assert {work.instance for work in first} == {new, any_version}
    assert after.instance == last


@pytest.mark.checklist(32)
async def test_a_worker_gets_nothing_of_a_kind_that_its_filters_do_not_name(
    hub: EngineUnderTest, client: Client
) -> None:
    picky = client.worker(
        work_item_filters=messages.WorkItemFilters(
            orchestrations=[messages.OrchestrationFilter(name="order")]
        )
    )
    await client.start()
    await (await picky.turn()).decide(schedule(1))
    await client.signal(hub.entity(), "add")

    last = await client.start()
    meanwhile = await picky.next()
    rest = client.worker()

    assert meanwhile.instance == last
    assert {(await rest.next()).kind[:8], (await rest.next()).kind[:8]} == {"activity", "entity_r"}


@pytest.mark.checklist(32)
async def test_a_worker_gets_only_the_activities_and_versions_that_it_filters_for(
    client: Client,
) -> None:
    await client.start()
    picky = client.worker(
        work_item_filters=messages.WorkItemFilters(
            activities=[messages.ActivityFilter(name="greet", versions=["2"])]
        )
    )
    turns = client.worker(
        work_item_filters=messages.WorkItemFilters(
            orchestrations=[messages.OrchestrationFilter(name="order")]
        )
    )
    other, old, new = schedule(1, "other"), schedule(2, "greet"), schedule(3, "greet")
    old.schedule_task.version = "1"
    new.schedule_task.version = "2"

    await (await turns.turn()).decide(other, old, new)

    assert (await picky.next()).request.task_id == 3


@pytest.mark.checklist(32)
async def test_a_worker_gets_only_the_entities_that_it_filters_for(
    hub: EngineUnderTest, client: Client
) -> None:
    wanted = hub.entity("account")
    await client.signal(hub.entity("counter"), "add")
    await client.signal(wanted, "add")

    picky = client.worker(
        work_item_filters=messages.WorkItemFilters(entities=[messages.EntityFilter(name="account")])
    )

    assert (await picky.next()).instance == wanted


@pytest.mark.checklist(33)
@pytest.mark.needs("clock")
async def test_an_idle_worker_is_pinged_every_thirty_seconds_at_least(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    await worker.opened()

    for _ in range(3):
        hub.advance(seconds=30)
        await worker.ping()


@pytest.mark.checklist(34)
@pytest.mark.needs("restart")
async def test_streams_end_cleanly_when_the_engine_stops(
    hub: EngineUnderTest, client: Client
) -> None:
    idle, busy = client.worker(), client.worker()
    await idle.opened()
    await client.start()
    await busy.opened()

    await hub.engine.stop()
    codes = {await idle.ended(), await busy.ended()}
    await hub.engine.start()

    assert codes == {grpc.StatusCode.OK}


@pytest.mark.checklist(34)
@pytest.mark.needs("restart")
async def test_who_waits_when_the_engine_stops_is_told_to_come_back(
    hub: EngineUnderTest, client: Client
) -> None:
    waiting = await client.waiting(await client.start())

    await hub.engine.stop()
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await waiting
    await hub.engine.start()

    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.checklist(35)
async def test_a_response_in_parts_is_put_together_by_their_numbers(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()

    await turn.decide(schedule(2, "two"), is_partial=True, chunk_index=1)
    await turn.decide(schedule(1, "one"), is_partial=True, chunk_index=0)
    before = await client.status(id)
    await turn.decide(schedule(3, "three"), chunk_index=2)

    activities = [await worker.next() for _ in range(3)]
    await activities[0].finish()
    scheduled = (await worker.turn()).past("task_scheduled")
    assert before == Status.PENDING
    assert [each.name for each in scheduled] == ["one", "two", "three"]


@pytest.mark.checklist(35)
async def test_parts_of_a_response_are_void_with_their_lease(client: Client) -> None:
    doomed = client.worker()
    await client.start()
    await (await doomed.turn()).decide(schedule(1, "lost"), is_partial=True, chunk_index=0)
    doomed.leave()
    worker = client.worker()

    await (await worker.turn()).decide(schedule(1, "kept"), chunk_index=0)

    assert (await worker.next()).name == "kept"


@pytest.mark.checklist(25)
@pytest.mark.needs("restart")
@pytest.mark.parametrize("kind", ["turn", "batch"])
async def test_the_answer_to_work_of_before_a_restart_changes_nothing(
    hub: EngineUnderTest, client: Client, kind: str
) -> None:
    stale = await handed_out(hub, client, client.worker(), kind)

    client = await hub.restart()
    worker = client.worker()
    current = await worker.next()
    await settle(stale.through(client), first=False)
    await settle(current)

    assert await outcome(client, worker, current) == "first"


@pytest.mark.checklist(24)
@pytest.mark.needs("clock")
async def test_all_work_of_a_broken_stream_comes_back_not_only_some(client: Client) -> None:
    doomed = client.worker()
    ids = {await client.start() for _ in range(50)}
    for _ in ids:
        await doomed.turn()

    doomed.leave()

    second = client.worker()
    assert {(await second.turn()).instance for _ in ids} == ids
