"""Entities over real gRPC, as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.engine.entities.state import (
    Entity,
    EntityProgress,
    EntityTransition,
    Holder,
)
from durabletask.sidecar.store import EntityChange, Key
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.sidecar import Peer, serving

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNTER = "@counter@1"


async def signal(peer: Peer, entity_id: str = COUNTER, name: str = "add", **fields: Any) -> None:
    request = messages.SignalEntityRequest(instance_id=entity_id, name=name, **fields)
    await peer.call(methods.SIGNAL_ENTITY, request)


async def get(peer: Peer, entity_id: str = COUNTER, *, include_state: bool = True) -> Any:
    """What is known about an entity, None when there is none."""
    request = messages.GetEntityRequest(instance_id=entity_id, include_state=include_state)
    response = await peer.call(methods.GET_ENTITY, request)
    return response.entity if response.exists else None


async def operate(peer: Peer, items: Any, state: str | None) -> Any:
    """Run the next operations, which leave this state; the request."""
    item = await items.next()
    operations = item.entity_request_v2.operation_requests
    done = messages.OperationResult(success=messages.OperationResultSuccess())
    result = messages.EntityBatchResult(
        results=[done for _ in operations],
        entity_state=state,
        completion_token=item.completion_token,
    )
    await peer.call(methods.COMPLETE_ENTITY_TASK, result)
    return item.entity_request_v2


async def query(peer: Peer, **fields: Any) -> Any:
    request = messages.QueryEntitiesRequest(query=messages.EntityQuery(**fields))
    return await peer.call(methods.QUERY_ENTITIES, request)


def ids(response: Any) -> list[str]:
    return [entity.instance_id for entity in response.entities]


async def clean(peer: Peer, **fields: Any) -> Any:
    return await peer.call(
        methods.CLEAN_ENTITY_STORAGE, messages.CleanEntityStorageRequest(**fields)
    )


def stored(*entities: tuple[str, str | None, Holder | None], at: datetime = NOON) -> MemoryStore:
    """A store with these entities: id, state, who holds it."""
    store = MemoryStore()
    for entity_id, state, holder in entities:
        progress = EntityProgress("e1", at, state, holder)
        change = EntityChange(
            Key("default", entity_id),
            Entity(entity_id, progress),
            (EntityTransition(progress=progress),),
        )
        store.commit([change])
    return store


async def test_a_signal_waits_for_a_worker_and_is_seen_in_the_backlog() -> None:
    async with serving(clock=ManualClock(NOON)) as peer:
        await signal(peer)
        await signal(peer, input="2")

        entity = await get(peer)

        assert (entity.instance_id, entity.backlog_queue_size) == (COUNTER, 2)
        assert entity.last_modified_time == NOON
        assert entity.locked_by is entity.serialized_state is None


async def test_a_signal_without_a_request_id_is_given_one_and_one_with_comes_once() -> None:
    async with serving() as peer:
        for request_id in ("", "", "r1", "r1"):
            await signal(peer, request_id=request_id)

        assert (await get(peer)).backlog_queue_size == 3


async def test_a_scheduled_signal_waits_for_its_time() -> None:
    clock = ManualClock(NOON)
    async with serving(clock=clock) as peer:
        items = peer.work()
        await signal(peer, name="late", scheduled_time=NOON + timedelta(hours=1))
        await signal(peer, name="early")

        early = await operate(peer, items, "1")
        clock.advance(timedelta(hours=1))
        late = await operate(peer, items, "2")

        names = [
            [event.entity_operation_signaled.operation for event in batch.operation_requests]
            for batch in (early, late)
        ]
        assert names == [["early"], ["late"]]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"instance_id": "a", "name": "add"}, "@name@key"),
        ({"instance_id": "@counter", "name": "add"}, "@name@key"),
        ({"instance_id": "@@1", "name": "add"}, "@name@key"),
        ({"instance_id": "@counter@\n", "name": "add"}, "@name@key"),
        ({"instance_id": "@counter@" + "1" * 1000, "name": "add"}, "1009 characters"),
        ({"instance_id": COUNTER, "name": ""}, "operation"),
        ({"instance_id": COUNTER, "name": "add", "request_id": "r" * 1001}, "1001 characters"),
    ],
)
async def test_a_signal_that_makes_no_sense_is_refused(fields: dict[str, Any], says: str) -> None:
    async with serving() as peer:
        code, text = await peer.refusal(
            methods.SIGNAL_ENTITY, messages.SignalEntityRequest(**fields)
        )

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert says in text


async def test_names_of_entities_know_no_case_and_keys_do() -> None:
    async with serving() as peer:
        await signal(peer, "@Counter@A")

        assert (await get(peer, "@COUNTER@A")).instance_id == "@counter@A"
        assert await get(peer, "@counter@a") is None


@pytest.mark.parametrize("entity_id", ["@counter@2", "a", "", "@counter@" + "1" * 2000])
async def test_what_is_no_entity_does_not_exist(entity_id: str) -> None:
    async with serving() as peer:
        await signal(peer)
        await peer.start()

        assert await get(peer, entity_id) is None


async def test_a_state_comes_only_when_it_is_asked_for() -> None:
    async with serving() as peer:
        await signal(peer)
        await operate(peer, peer.work(), '"here"')

        states = [
            (await get(peer, include_state=wanted)).serialized_state for wanted in (True, False)
        ]
        queried = [
            (await query(peer, include_state=wanted)).entities[0].serialized_state
            for wanted in (True, False)
        ]

        assert states == queried == ['"here"', None]


async def test_an_entity_whose_state_was_deleted_exists_until_it_is_cleaned_up() -> None:
    """As on the official backend; its clients tell by the state."""
    async with serving() as peer:
        await signal(peer)
        await operate(peer, peer.work(), None)

        deleted = await get(peer)
        outcome = await clean(peer, remove_empty_entities=True)

        assert deleted.serialized_state is None
        assert outcome.empty_entities_removed == 1
        assert await get(peer) is None


async def test_a_query_leaves_entities_out_that_have_no_state_unless_asked_for_them() -> None:
    store = stored(("@a@full", "1", None), ("@a@empty", None, None))
    async with serving(store=store) as peer:
        assert ids(await query(peer)) == ["@a@full"]
        assert ids(await query(peer, include_transient=True)) == ["@a@empty", "@a@full"]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["@basket@a", "@counter@A", "@counter@a"]),
        ("@Coun", ["@counter@A", "@counter@a"]),
        ("@COUNTER@A", ["@counter@A"]),
        ("@counter@A", ["@counter@A"]),
        ("counter", []),
    ],
)
async def test_a_query_finds_by_prefix_whose_name_knows_no_case(
    prefix: str, found: list[str]
) -> None:
    store = stored(*((each, "1", None) for each in ("@counter@A", "@counter@a", "@basket@a")))
    async with serving(store=store) as peer:
        assert ids(await query(peer, instance_id_starts_with=prefix)) == found


async def test_a_query_finds_by_time_the_first_moment_in_and_the_last_out() -> None:
    async with serving(store=stored((COUNTER, "1", None), at=NOON)) as peer:
        hour = timedelta(hours=1)
        shown = [
            ids(await query(peer, last_modified_from=first, last_modified_to=end))
            for first, end in ((NOON, NOON + hour), (NOON - hour, NOON), (NOON + hour, None))
        ]

        assert shown == [[COUNTER], [], []]


async def test_entities_come_page_by_page_and_the_last_page_has_no_token() -> None:
    names = [f"@counter@{n}" for n in range(5)]
    async with serving(store=stored(*((name, "1", None) for name in names))) as peer:
        found: list[list[str]] = []
        token = None
        while not found or token:
            page = await query(peer, page_size=2, continuation_token=token)
            found.append(ids(page))
            token = page.continuation_token

        assert found == [names[:2], names[2:4], names[4:]]


@pytest.mark.parametrize("method", [methods.QUERY_ENTITIES, methods.CLEAN_ENTITY_STORAGE])
async def test_a_token_of_another_query_is_refused(method: Any) -> None:
    async with serving() as peer:
        for name in ("a", "b"):
            await peer.start("order", name)
        wanted = messages.QueryInstancesRequest(query=messages.InstanceQuery(max_instance_count=1))
        token = (await peer.call(methods.QUERY_INSTANCES, wanted)).continuation_token

        request: Any
        if method is methods.QUERY_ENTITIES:
            request = messages.QueryEntitiesRequest(
                query=messages.EntityQuery(continuation_token=token)
            )
        else:
            request = messages.CleanEntityStorageRequest(continuation_token=token)
        code, _ = await peer.refusal(method, request)

        assert code is grpc.StatusCode.INVALID_ARGUMENT


def locking(id: int, entity_id: str, by: Any) -> Any:
    requested = messages.EntityLockRequestedEvent(
        critical_section_id="s1", lock_set=[entity_id], parent_instance_id=by.instance_id
    )
    action = messages.SendEntityMessageAction(entity_lock_requested=requested)
    return messages.OrchestratorAction(id=id, send_entity_message=action)


async def test_a_lock_is_shown_by_its_holder_and_not_cleaned_up_while_that_lives() -> None:
    async with serving() as peer:
        await peer.start()
        item = await peer.work().next()
        await peer.decide(item, locking(1, COUNTER, item.orchestrator_request))

        outcome = await clean(peer, remove_empty_entities=True, release_orphaned_locks=True)

        assert (outcome.empty_entities_removed, outcome.orphaned_locks_released) == (0, 0)
        assert (await get(peer)).locked_by == "a"
        assert (await query(peer, include_transient=True)).entities[0].locked_by == "a"


async def test_locks_whose_holder_is_gone_has_ended_or_is_another_are_released() -> None:
    held = [
        ("@box@by-nobody", "1", Holder("missing", "s1")),
        ("@box@by-ended", "1", Holder("ended", "s1")),
        ("@box@by-another", "1", Holder("live", "s1")),
    ]
    async with serving(store=stored(*held)) as peer:
        await peer.start("order", "live")
        await peer.start("order", "ended")
        terminate = messages.TerminateRequest(instance_id="ended")
        await peer.call(methods.TERMINATE_INSTANCE, terminate)

        outcome = await clean(peer, release_orphaned_locks=True)

        assert outcome.orphaned_locks_released == 3
        assert [(await get(peer, name)).locked_by for name, *_ in held] == [None] * 3


async def test_only_what_is_asked_for_is_cleaned_up() -> None:
    entities = [("@box@empty", None, None), ("@box@held", None, Holder("missing", "s1"))]
    async with serving(store=stored(*entities)) as peer:
        neither = await clean(peer)
        first = await clean(peer, remove_empty_entities=True)
        # Empty but for its lock, it goes in the call that releases that.
        both = await clean(peer, remove_empty_entities=True, release_orphaned_locks=True)

        counts = [
            (each.empty_entities_removed, each.orphaned_locks_released)
            for each in (neither, first, both)
        ]
        assert counts == [(0, 0), (1, 0), (1, 1)]


async def test_an_entity_with_a_message_or_a_state_is_not_empty() -> None:
    async with serving(store=stored(("@box@full", "1", None))) as peer:
        await signal(peer, "@box@waiting")

        outcome = await clean(peer, remove_empty_entities=True)

        assert outcome.empty_entities_removed == 0


async def test_many_entities_are_cleaned_up_in_several_calls() -> None:
    names = [f"@box@{n:04}" for n in range(1001)]
    async with serving(store=stored(*((name, None, None) for name in names))) as peer:
        counts: list[int] = []
        token = None
        while not counts or token:
            outcome = await clean(peer, remove_empty_entities=True, continuation_token=token)
            counts.append(outcome.empty_entities_removed)
            token = outcome.continuation_token

        assert counts == [500, 500, 1]
        assert ids(await query(peer, include_transient=True)) == []
