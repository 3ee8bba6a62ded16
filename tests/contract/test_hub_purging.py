"""Purge: by id, by filter, with children, within a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from durabletask.protocol import messages
from tests.builders.contract import Client, EngineUnderTest, again, child
from tests.builders.sidecar import complete, schedule, timer

Status = messages.OrchestrationStatus
DOOMSDAY = datetime(9999, 1, 1, tzinfo=UTC)


async def ended(client: Client, **fields) -> str:
    """An instance that has ended."""
    id = await client.start(**fields)
    await client.terminate(id)
    await client.completed(id)
    return id


@pytest.mark.checklist(62)
async def test_to_purge_a_live_instance_removes_nothing(client: Client) -> None:
    id = await client.start()

    count, _ = await client.purge(id)

    assert count == 0
    assert await client.status(id) == Status.PENDING


@pytest.mark.checklist(62)
async def test_to_purge_an_instance_that_is_missing_removes_nothing(
    hub: EngineUnderTest, client: Client
) -> None:
    count, is_complete = await client.purge(hub.new_id())

    assert (count, is_complete) == (0, True)


@pytest.mark.checklist(62)
async def test_a_purged_instance_is_gone_and_its_id_free(client: Client) -> None:
    id = await ended(client, input='"old"')

    count, _ = await client.purge(id)

    assert count == 1
    assert await client.state(id) is None
    await client.start(id=id, input='"new"')
    assert (await client.worker().turn()).new("execution_started")[0].input == '"new"'


@pytest.mark.checklist(62)
async def test_a_batch_of_ids_is_purged_as_far_as_its_instances_have_ended(
    hub: EngineUnderTest, client: Client
) -> None:
    gone = [await ended(client), await ended(client)]
    live = await client.start()

    batch = messages.InstanceBatch(instance_ids=[*gone, live, hub.new_id()])
    count, _ = await client.purge(instance_batch=batch)

    assert count == 2
    assert [await client.state(id) for id in gone] == [None, None]
    assert await client.status(live) == Status.PENDING


@pytest.mark.checklist(63)
@pytest.mark.needs("clock")
async def test_a_filter_takes_from_the_first_moment_on_and_not_the_last(
    hub: EngineUnderTest, client: Client
) -> None:
    ids = []
    for _ in range(4):
        ids.append(await ended(client))
        hub.advance(hours=1)
    begin = hub.now() - timedelta(hours=3)

    count, is_complete = await client.purge(
        purge_instance_filter=messages.PurgeInstanceFilter(
            created_time_from=begin, created_time_to=begin + timedelta(hours=2)
        )
    )

    assert (count, is_complete) == (2, True)
    assert [await client.state(id) is None for id in ids] == [False, True, True, False]


@pytest.mark.checklist(63)
@pytest.mark.needs("clock")
async def test_a_filter_takes_only_instances_that_have_ended_as_it_says(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    completed = await client.start()
    await (await worker.turn()).decide(complete(1))
    terminated = await ended(client)
    live = await client.start()

    count, _ = await client.purge(
        purge_instance_filter=messages.PurgeInstanceFilter(
            created_time_from=hub.now(),
            runtime_status=[Status.TERMINATED, Status.RUNNING, Status.PENDING],
        )
    )

    assert count == 1
    assert await client.state(terminated) is None
    assert await client.status(completed) == Status.COMPLETED
    assert await client.state(live) is not None


@pytest.mark.checklist(64)
async def test_a_recursive_purge_takes_children_of_all_generations_along(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent = await client.start()
    children = [hub.new_id("child"), hub.new_id("child")]
    for id in children:
        await (await worker.turn(parent)).decide(child(1, instance_id=id))
        await (await worker.turn(id)).decide(complete(1))
        last = await worker.turn(parent)
        if id == children[0]:
            await last.decide(again(2))
    await last.decide(complete(2))

    count, _ = await client.purge(parent, recursive=True)

    assert count == 3
    assert [await client.state(id) for id in (parent, *children)] == [None] * 3


@pytest.mark.checklist(64)
async def test_a_recursive_purge_does_not_mind_a_child_that_is_gone(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    await (await worker.turn(id)).decide(complete(1))
    await (await worker.turn(parent)).decide(complete(2))
    await client.purge(id)

    count, _ = await client.purge(parent, recursive=True)

    assert count == 1
    assert await client.state(parent) is None


@pytest.mark.checklist(64)
async def test_a_purge_that_is_not_recursive_leaves_children(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    await (await worker.turn(id)).decide(complete(1))
    await (await worker.turn(parent)).decide(complete(2))

    count, _ = await client.purge(parent)

    assert count == 1
    assert await client.status(id) == Status.COMPLETED


@pytest.mark.slow
@pytest.mark.checklist(65)
@pytest.mark.needs("real time", "restart")
async def test_a_purge_whose_time_is_up_says_that_there_is_more(
    hub: EngineUnderTest, client: Client
) -> None:
    before = hub.now()
    ids = await asyncio.gather(*(ended(client) for _ in range(1500)))

    instant = messages.PurgeInstanceFilter(
        created_time_from=before, timeout=timedelta(microseconds=1)
    )
    first, is_complete = await client.purge(purge_instance_filter=instant)
    rest, is_complete_now = await client.purge(
        purge_instance_filter=messages.PurgeInstanceFilter(created_time_from=before)
    )

    assert (is_complete, is_complete_now) == (False, True)
    assert first < len(ids)
    assert first + rest == len(ids)


@pytest.mark.checklist(64)
async def test_a_child_that_lives_under_a_purged_parent_is_ended_with_it(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    orphan = await worker.turn(id)
    await client.terminate(parent)
    waiting = await client.waiting(id)

    count, _ = await client.purge(parent, recursive=True)
    await orphan.decide(complete(1))

    assert count >= 1
    assert await client.state(parent) is None
    # Whether it was purged too or left to itself, nobody waits for it in vain.
    await waiting


@pytest.mark.checklist(62)
async def test_nothing_that_was_for_a_purged_instance_reaches_the_next_of_its_id(
    client: Client,
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide(schedule(1, "old"), timer(2, DOOMSDAY))
    old = await worker.activity("old")
    await client.raise_event(id)
    await client.terminate(id)
    await client.purge(id)

    await client.start(id=id)
    await old.finish('"old"')
    turn = await worker.turn()
    while turn.past_events:
        turn = await worker.turn()
    await turn.decide(schedule(1, "new"))
    await (await worker.activity("new")).finish('"new"')

    last = await worker.turn()
    assert turn.raised == last.raised == []
    assert [each.result for each in last.new("task_completed")] == ['"new"']
