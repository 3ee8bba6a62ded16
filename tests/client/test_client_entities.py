"""Operations on entities: the requests and results of both clients."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from durabletask.client import CleanEntityStorageResult, EntityQuery
from durabletask.entities import EntityInstanceId
from durabletask.protocol import messages
from durabletask.transport.errors import ProtocolError
from tests.builders.client import ScriptedClient, items_of
from tests.builders.transport import refused, result_of

ACCOUNT = EntityInstanceId("Account", "Ada")
AT = datetime(2030, 1, 1)
AWARE = AT.replace(tzinfo=UTC)
FOUND = messages.EntityMetadata(
    instance_id="@account@Ada",
    last_modified_time=AWARE,
    backlog_queue_size=2,
    locked_by="order-1",
    serialized_state="5",
)


async def test_a_signal_carries_all_that_was_given(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.SignalEntityResponse())

    await result_of(client.signal_entity(ACCOUNT, "Deposit", {"amount": 5}, AT))

    assert scripted.request == messages.SignalEntityRequest(
        instance_id="@account@Ada",
        name="Deposit",
        input='{"amount": 5}',
        scheduled_time=AWARE,
        request_id=scripted.request.request_id,
    )


async def test_a_signal_without_input_or_time_has_none(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.SignalEntityResponse())

    await result_of(client.signal_entity(ACCOUNT, "close"))

    assert scripted.request.input is scripted.request.scheduled_time is None


async def test_each_signal_has_a_guid_of_its_own(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.SignalEntityResponse(), messages.SignalEntityResponse())

    for _ in range(2):
        await result_of(client.signal_entity(ACCOUNT, "close"))

    first, second = (uuid.UUID(request.request_id) for request in scripted.requests)
    assert first != second


@pytest.mark.parametrize("include_state", [True, False])
async def test_an_entity_is_looked_up_with_or_without_its_state(
    scripted: ScriptedClient, include_state: bool
) -> None:
    client = scripted.client(messages.GetEntityResponse(exists=True, entity=FOUND))

    entity = await result_of(client.get_entity(ACCOUNT, include_state))

    assert scripted.request == messages.GetEntityRequest(
        instance_id="@account@Ada", include_state=include_state
    )
    assert (entity.id, entity.last_modified) == (ACCOUNT, AWARE)
    assert (entity.backlog_queue_size, entity.locked_by) == (2, "order-1")
    assert entity.get_typed_state(int) == (5 if include_state else None)


@pytest.mark.parametrize(
    "answer",
    [messages.GetEntityResponse(exists=False), refused("NOT_FOUND", method="GetEntity")],
    ids=["answered", "refused"],
)
async def test_an_unknown_entity_is_none(scripted: ScriptedClient, answer: Any) -> None:
    client = scripted.client(answer)

    assert await result_of(client.get_entity(ACCOUNT)) is None


def page(*keys: str, token: str | None = None) -> messages.QueryEntitiesResponse:
    return messages.QueryEntitiesResponse(
        entities=[messages.EntityMetadata(instance_id=f"@account@{key}") for key in keys],
        continuation_token=token,
    )


GATHERINGS = pytest.mark.parametrize(
    "gathered",
    [
        lambda client, *query: result_of(client.get_all_entities(*query)),
        lambda client, *query: items_of(client.iter_entities(*query)),
    ],
    ids=["list", "iterator"],
)


@GATHERINGS
async def test_a_query_for_entities_sends_its_conditions(
    scripted: ScriptedClient, gathered: Any
) -> None:
    client = scripted.client(page())
    query = EntityQuery(
        instance_id_starts_with="@account@A",
        last_modified_from=AT,
        last_modified_to=AWARE,
        include_state=False,
        include_transient=True,
        page_size=5,
    )

    assert await gathered(client, query) == []

    assert scripted.request.query == messages.EntityQuery(
        instance_id_starts_with="@account@A",
        last_modified_from=AWARE,
        last_modified_to=AWARE,
        include_state=False,
        include_transient=True,
        page_size=5,
    )


@GATHERINGS
async def test_a_query_without_conditions_finds_all_with_their_states(
    scripted: ScriptedClient, gathered: Any
) -> None:
    client = scripted.client(messages.QueryEntitiesResponse(entities=[FOUND]))

    (entity,) = await gathered(client)

    assert scripted.request.query == messages.EntityQuery(include_state=True)
    assert entity.get_typed_state() == 5


@GATHERINGS
@pytest.mark.parametrize("last", [None, "", "0", "1"], ids=repr)
async def test_pages_of_entities_are_fetched_until_the_last(
    scripted: ScriptedClient, gathered: Any, last: str | None
) -> None:
    client = scripted.client(page("a", token="1"), page("b", token=last))

    assert [entity.id.key for entity in await gathered(client)] == ["a", "b"]

    assert [request.query.continuation_token for request in scripted.requests] == [None, "1"]


async def test_cleaning_is_repeated_until_nothing_is_left_and_counts_are_summed(
    scripted: ScriptedClient,
) -> None:
    client = scripted.client(
        messages.CleanEntityStorageResponse(
            continuation_token="1", empty_entities_removed=2, orphaned_locks_released=3
        ),
        messages.CleanEntityStorageResponse(empty_entities_removed=4, orphaned_locks_released=5),
    )

    cleaned = await result_of(client.clean_entity_storage())

    assert cleaned == CleanEntityStorageResult(6, 8)
    assert scripted.requests == [
        messages.CleanEntityStorageRequest(
            continuation_token=token, remove_empty_entities=True, release_orphaned_locks=True
        )
        for token in (None, "1")
    ]


@pytest.mark.parametrize("told", [(True, False), (False, True)])
async def test_cleaning_sends_both_options(
    scripted: ScriptedClient, told: tuple[bool, bool]
) -> None:
    client = scripted.client(messages.CleanEntityStorageResponse())

    await result_of(client.clean_entity_storage(*told))

    assert (scripted.request.remove_empty_entities, scripted.request.release_orphaned_locks) == told


@pytest.mark.parametrize(
    ("rpc", "call"),
    [
        ("SignalEntity", lambda client: client.signal_entity(ACCOUNT, "close")),
        ("GetEntity", lambda client: client.get_entity(ACCOUNT)),
        ("QueryEntities", lambda client: client.get_all_entities()),
        ("CleanEntityStorage", lambda client: client.clean_entity_storage()),
    ],
)
async def test_an_engine_without_entities_is_an_error_that_says_so(
    scripted: ScriptedClient, rpc: str, call: Any
) -> None:
    client = scripted.client(refused("UNIMPLEMENTED", method=rpc))

    with pytest.raises(ProtocolError, match=rf"{rpc}.*cannot keep entities"):
        await result_of(call(client))
