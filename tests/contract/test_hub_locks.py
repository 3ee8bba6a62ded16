"""Critical sections: locks keep others out, and are never left behind."""

from __future__ import annotations

import pytest

from durabletask.protocol import messages
from tests.builders.contract import (
    Client,
    EngineUnderTest,
    Work,
    Worker,
    again,
    call,
    failure,
    guid,
    lock,
    signal,
    succeeded,
    unlock,
)
from tests.builders.sidecar import complete, failed

Status = messages.OrchestrationStatus


async def holding(client: Client, worker: Worker, *entities: str, section: str) -> Work:
    """The turn of an orchestration that has just been granted the entities."""
    id = await client.start()
    first = await worker.turn(id)
    await first.decide(lock(1, section, *entities, by=first))
    return await worker.turn(id)


@pytest.mark.checklist(72)
async def test_a_lock_keeps_others_out_until_it_is_given_back(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    turn = await holding(client, worker, entity, section=section)

    await client.signal(entity, "add")
    other = await client.start()
    meanwhile = await worker.next()
    held = await client.entity(entity)
    await turn.decide(unlock(2, section, entity, by=turn))

    assert turn.new("entity_lock_granted")[0].critical_section_id == section
    assert meanwhile.instance == other
    assert (held.locked_by, held.backlog_queue_size) == (turn.instance, 1)
    assert (await worker.next()).operations == ["add"]
    assert (await client.entity(entity)).locked_by is None


@pytest.mark.checklist(72)
async def test_who_holds_a_lock_is_served_before_all_that_wait(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    turn = await holding(client, worker, entity, section=section)
    await client.signal(entity, "add")

    await turn.decide(call(2, entity, "get", by=turn))
    batch = await worker.batch()
    await batch.operate(succeeded('"0"'))
    answered = await worker.turn()
    await answered.decide(unlock(3, section, entity, by=answered))

    assert batch.operations == ["get"]
    assert answered.new("entity_operation_completed")[0].output == '"0"'
    assert (await worker.batch()).operations == ["add"]


@pytest.mark.checklist(72)
async def test_a_lock_waits_for_the_operations_that_came_before_it(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    await client.signal(entity, "add")
    batch = await worker.batch()
    id = await client.start()
    turn = await worker.turn()
    await turn.decide(lock(1, section, entity, by=turn))

    await client.raise_event(id)
    meanwhile = await worker.turn()
    await meanwhile.decide()
    await batch.operate(state="1")

    assert meanwhile.events == ["orchestrator_started", "event_raised"]
    assert (await worker.turn()).events == ["orchestrator_started", "entity_lock_granted"]


@pytest.mark.checklist(72)
async def test_an_unlock_by_who_does_not_hold_the_lock_does_nothing(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    holder = await holding(client, worker, entity, section=section)
    await client.start()
    other = await worker.turn()

    await other.decide(unlock(1, section, entity, by=other))

    assert (await client.entity(entity)).locked_by == holder.instance


@pytest.mark.checklist(73)
async def test_two_that_lock_the_same_entities_the_other_way_round_both_get_them(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, one, other = client.worker(), hub.entity(), hub.entity()
    sections = {await client.start(): guid(), await client.start(): guid()}
    for (id, section), wanted in zip(sections.items(), [(one, other), (other, one)], strict=True):
        turn = await worker.turn(id)
        await turn.decide(lock(1, section, *wanted, by=turn))

    granted = []
    for _ in sections:
        turn = await worker.turn()
        granted.append(turn.new("entity_lock_granted")[0].critical_section_id)
        section = sections[turn.instance]
        unlocks = [unlock(2, section, one, by=turn), unlock(3, section, other, by=turn)]
        await turn.decide(*unlocks, complete(4))

    assert set(granted) == set(sections.values())


@pytest.mark.checklist(73)
async def test_a_critical_section_holds_all_of_its_entities(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entities = client.worker(), [hub.entity(), hub.entity(), hub.entity()]

    turn = await holding(client, worker, *entities, section=guid())

    holders = {(await client.entity(entity)).locked_by for entity in entities}
    assert holders == {turn.instance}


ENDINGS = {
    "completes": complete(2),
    "fails": failed(2, failure()),
    "continues as new": again(2),
}


@pytest.mark.checklist(74)
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_a_lock_is_free_when_its_holder_ends_without_a_word(
    hub: EngineUnderTest, client: Client, ending
) -> None:
    worker, entities = client.worker(), [hub.entity(), hub.entity()]
    turn = await holding(client, worker, *entities, section=guid())
    for entity in entities:
        await client.signal(entity, "add")

    await turn.decide(ending)

    served = {(await worker.batch()).instance, (await worker.batch()).instance}
    assert served == set(entities)
    assert [(await client.entity(entity)).locked_by for entity in entities] == [None, None]


@pytest.mark.checklist(74)
@pytest.mark.parametrize("how", ["terminated", "replaced", "purged"])
async def test_a_lock_is_free_when_its_holder_is_ended(
    hub: EngineUnderTest, client: Client, how: str
) -> None:
    worker, entity = client.worker(), hub.entity()
    turn = await holding(client, worker, entity, section=guid())
    await turn.decide()
    await client.signal(entity, "add")

    if how == "replaced":
        await client.start(id=turn.instance, replaceable=[Status.RUNNING])
    else:
        await client.terminate(turn.instance)
    if how == "purged":
        await client.purge(turn.instance)

    assert (await worker.batch()).operations == ["add"]
    assert (await client.entity(entity)).locked_by is None


@pytest.mark.checklist(74)
async def test_a_lock_is_kept_over_a_worker_that_dies_and_given_back_by_the_next(
    hub: EngineUnderTest, client: Client
) -> None:
    doomed, entity, section = client.worker(), hub.entity(), guid()
    await holding(client, doomed, entity, section=section)
    await client.signal(entity, "add")
    doomed.leave()

    worker = client.worker()
    turn = await worker.turn()
    held = (await client.entity(entity)).locked_by
    await turn.decide(unlock(2, section, entity, by=turn))

    assert turn.events == ["orchestrator_started", "entity_lock_granted"]
    assert held == turn.instance
    assert (await worker.batch()).operations == ["add"]


@pytest.mark.checklist(74)
async def test_who_ends_while_it_waits_for_a_lock_never_gets_it(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    holder = await holding(client, worker, entity, section=section)
    waiter = await client.start()
    turn = await worker.turn()
    await turn.decide(lock(1, guid(), entity, by=turn))
    await client.signal(entity, "add")

    await client.terminate(waiter)
    await holder.decide(unlock(2, section, entity, by=holder))

    assert (await worker.batch()).operations == ["add"]
    assert (await client.entity(entity)).locked_by is None


@pytest.mark.checklist(74)
async def test_the_next_generation_does_not_get_the_lock_that_the_last_one_waited_for(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    holder = await holding(client, worker, entity, section=section)
    waiter = await client.start()
    turn = await worker.turn()
    await turn.decide(lock(1, guid(), entity, by=turn))
    await client.raise_event(waiter)
    await (await worker.turn()).decide(again(2))
    await (await worker.turn()).decide()

    await holder.decide(unlock(2, section, entity, by=holder))
    await client.signal(entity, "add")
    batch = await worker.batch()
    await client.raise_event(waiter)

    assert batch.operations == ["add"]
    assert (await worker.turn()).events == ["orchestrator_started", "event_raised"]


@pytest.mark.checklist(80)
async def test_cleaning_frees_no_lock_of_an_instance_that_lives(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    turn = await holding(client, worker, entity, section=guid())
    await turn.decide()

    cleaned = await client.clean(release_orphaned_locks=True, remove_empty_entities=True)

    assert cleaned.orphaned_locks_released == 0
    assert (await client.entity(entity)).locked_by == turn.instance


@pytest.mark.checklist(80)
async def test_after_cleaning_no_instance_that_has_ended_holds_a_lock(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity = client.worker(), hub.entity()
    turn = await holding(client, worker, entity, section=guid())
    await turn.decide(signal(2, hub.entity("account")), complete(3))

    await client.clean(release_orphaned_locks=True)

    found = await client.entity(entity)
    assert found is None or found.locked_by is None


@pytest.mark.checklist(72)
async def test_a_lock_parts_the_operations_before_it_from_those_after_it(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    await client.start()
    turn = await worker.turn()
    await turn.decide(signal(1, entity, "before"), lock(2, section, entity, by=turn))
    await client.signal(entity, "after")

    batch = await worker.batch()
    await batch.operate(*[succeeded() for _ in batch.operations], state="1")
    granted = await worker.turn()
    other = await client.start()
    meanwhile = await worker.next()
    await granted.decide(unlock(3, section, entity, by=granted))

    assert batch.operations == ["before"]
    assert granted.events == ["orchestrator_started", "entity_lock_granted"]
    assert meanwhile.instance == other
    assert (await worker.next()).operations == ["after"]


@pytest.mark.checklist(74)
@pytest.mark.needs("restart")
async def test_a_lock_is_held_over_a_restart(hub: EngineUnderTest, client: Client) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    turn = await holding(client, worker, entity, section=section)
    await turn.decide()
    await client.signal(entity, "add")

    client = await hub.restart()
    worker = client.worker()
    other = await client.start()
    meanwhile = await worker.next()
    held = (await client.entity(entity)).locked_by
    await client.terminate(turn.instance)

    assert (meanwhile.instance, held) == (other, turn.instance)
    assert (await worker.next()).operations == ["add"]


@pytest.mark.checklist(72)
async def test_a_lock_that_is_asked_for_twice_is_granted_once(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entity, section = client.worker(), hub.entity(), guid()
    turn = await holding(client, worker, entity, section=section)
    await turn.decide(lock(1, section, entity, by=turn))
    await client.raise_event(turn.instance)

    last = await worker.turn()
    await last.decide(unlock(2, section, entity, by=last))
    await client.signal(entity, "add")

    assert last.events == ["orchestrator_started", "event_raised"]
    assert (await worker.batch()).operations == ["add"]


@pytest.mark.checklist(72)
async def test_an_unlock_frees_all_entities_of_its_section(
    hub: EngineUnderTest, client: Client
) -> None:
    worker, entities, section = client.worker(), [hub.entity(), hub.entity()], guid()
    turn = await holding(client, worker, *entities, section=section)

    await turn.decide(*(unlock(n + 2, section, each, by=turn) for n, each in enumerate(entities)))
    for entity in entities:
        await client.signal(entity, "add")

    assert {(await worker.batch()).instance for _ in entities} == set(entities)
