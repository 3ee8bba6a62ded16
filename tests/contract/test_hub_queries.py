"""Query and list: what is found, in which order, page by page."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from durabletask.protocol import codec, dialects, messages, methods
from tests.builders.contract import RECEIVE_LIMIT, Client, EngineUnderTest
from tests.builders.sidecar import complete

Status = messages.OrchestrationStatus


async def next_page(hub: EngineUnderTest, client: Client, token: str | None = None, **fields):
    """The ids of a page of this test's instances, and the token of the next page."""
    response = await client.query(
        instance_id_prefix=hub.prefix, continuation_token=token, max_instance_count=2, **fields
    )
    ids = [state.instance_id for state in response.orchestration_state]
    return ids, response.continuation_token


async def rest_of(hub: EngineUnderTest, client: Client, token: str | None) -> list[str]:
    found = []
    while token:
        ids, token = await next_page(hub, client, token)
        found += ids
    return found


@pytest.mark.checklist(66)
async def test_pages_hold_each_instance_once_though_others_come_and_go(
    hub: EngineUnderTest, client: Client
) -> None:
    ids = []
    for _ in range(5):
        ids.append(await client.start())
        hub.pass_time(seconds=1)
    first, token = await next_page(hub, client)

    await client.terminate(first[0])
    await client.purge(first[0])
    await client.start()
    rest = await rest_of(hub, client, token)

    found = first + rest
    assert [id for id in found if id in ids] == ids
    assert len(set(found)) == len(found)


@pytest.mark.checklist(66)
async def test_a_token_is_never_zero_or_empty_or_the_one_before(
    hub: EngineUnderTest, client: Client
) -> None:
    for _ in range(7):
        await client.start()

    tokens = []
    _, token = await next_page(hub, client)
    while token is not None:
        tokens.append(token)
        _, token = await next_page(hub, client, token)

    # By any of these the official client knows the last page.
    assert len(tokens) >= 3
    assert not {"", "0"} & set(tokens)
    assert len(set(tokens)) == len(tokens)


@pytest.mark.checklist(66)
@pytest.mark.parametrize("token", ["0", "nonsense", "AAAA"])
async def test_a_token_that_nobody_issued_is_an_invalid_argument(
    client: Client, token: str
) -> None:
    query = messages.InstanceQuery(continuation_token=token)

    code = await client.refusal(methods.QUERY_INSTANCES, query=query)

    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.checklist(66)
async def test_a_query_finds_by_status(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    done = await client.start()
    await (await worker.turn()).decide(complete(1))
    pending = await client.start(scheduled_start_timestamp=hub.now() + timedelta(days=1))

    found = {
        status: (await next_page(hub, client, runtime_status=[status]))[0]
        for status in (Status.COMPLETED, Status.PENDING, Status.FAILED)
    }

    assert found == {Status.COMPLETED: [done], Status.PENDING: [pending], Status.FAILED: []}


@pytest.mark.checklist(66)
@pytest.mark.needs("clock")
async def test_a_query_takes_from_the_first_moment_on_and_not_the_last(
    hub: EngineUnderTest, client: Client
) -> None:
    begin = hub.now()
    ids = []
    for _ in range(3):
        ids.append(await client.start())
        hub.advance(hours=1)

    found, _ = await next_page(
        hub,
        client,
        created_time_from=begin,
        created_time_to=begin + timedelta(hours=2),
    )

    assert found == ids[:2]


@pytest.mark.checklist(66)
async def test_a_query_has_payloads_only_when_asked_for_them(
    hub: EngineUnderTest, client: Client
) -> None:
    await client.start(input='"in"')

    shown = []
    for wanted in (False, True):
        response = await client.query(
            instance_id_prefix=hub.prefix, fetch_inputs_and_outputs=wanted
        )
        shown += [state.input for state in response.orchestration_state]

    assert shown == [None, '"in"']


@pytest.mark.checklist(66)
async def test_no_page_is_larger_than_a_client_may_receive(
    hub: EngineUnderTest, client: Client
) -> None:
    ids = [await client.start(input="x" * 1_000_000) for _ in range(6)]

    found: list[str] = []
    sizes, token = [], None
    while not found or token:
        page = await client.query(
            instance_id_prefix=hub.prefix,
            fetch_inputs_and_outputs=True,
            continuation_token=token,
        )
        token = page.continuation_token
        found += [state.instance_id for state in page.orchestration_state]
        sizes.append(len(codec.encode(page, dialects.TASKHUB)))

    assert sorted(found) == sorted(ids)
    assert max(sizes) < RECEIVE_LIMIT


async def all_listed(hub: EngineUnderTest, client: Client, **fields) -> list[str]:
    """The ids that a list has, over all pages, as far as they are of this test."""
    found: list[str] = []
    key = None
    while True:
        page = await client.call(
            methods.LIST_INSTANCE_IDS, page_size=2, last_instance_key=key, **fields
        )
        found += page.instance_ids
        key = page.last_instance_key
        if not key:
            return [id for id in found if id.startswith(hub.prefix)]


@pytest.mark.checklist(67)
async def test_ended_instances_are_listed_in_the_order_in_which_they_ended(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    ids = [await client.start() for _ in range(5)]
    await client.start()
    turns = {id: await worker.turn(id) for id in ids}
    order = [ids[number] for number in (3, 0, 4, 2, 1)]
    for id in order:
        await turns[id].decide(complete(1))
        hub.pass_time(seconds=1)

    assert await all_listed(hub, client) == order


@pytest.mark.checklist(67)
@pytest.mark.needs("clock")
async def test_a_list_takes_from_the_first_moment_on_and_not_the_last(
    hub: EngineUnderTest, client: Client
) -> None:
    begin = hub.now()
    ids = []
    for _ in range(3):
        ids.append(await client.start())
        await client.terminate(ids[-1])
        hub.advance(hours=1)

    found = await all_listed(
        hub,
        client,
        completed_time_from=begin,
        completed_time_to=begin + timedelta(hours=2),
    )

    assert found == ids[:2]


@pytest.mark.checklist(67)
async def test_a_list_finds_by_status(hub: EngineUnderTest, client: Client) -> None:
    worker = client.worker()
    await client.start()
    await (await worker.turn()).decide(complete(1))
    terminated = await client.start()
    await client.terminate(terminated)

    assert await all_listed(hub, client, runtime_status=[Status.TERMINATED]) == [terminated]


@pytest.mark.checklist(67)
async def test_a_list_does_not_go_on_from_a_key_that_nobody_issued(client: Client) -> None:
    code = await client.refusal(methods.LIST_INSTANCE_IDS, last_instance_key="nonsense")

    assert code is grpc.StatusCode.INVALID_ARGUMENT
