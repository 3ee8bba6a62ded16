"""Rewind, restart, purge, query, list and history: the requests and results of both clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from durabletask import history
from durabletask.client import (
    OrchestrationQuery,
    OrchestrationStatus,
    Page,
    PurgeInstancesResult,
    new_purge_instances_result,
)
from durabletask.protocol import events, messages
from durabletask.serialization import JsonDataConverter
from durabletask.transport.errors import InstanceNotFoundError, InstanceStatusError, ProtocolError
from tests.builders.client import ScriptedClient, first_of, items_of
from tests.builders.transport import refused, result_of

Call = Callable[[Any], Any]

FROM, TO = datetime(2030, 1, 1), datetime(2031, 1, 1)
AWARE_FROM, AWARE_TO = FROM.replace(tzinfo=UTC), TO.replace(tzinfo=UTC)
STATUS = [OrchestrationStatus.FAILED, OrchestrationStatus.TERMINATED]
SENT_STATUS = [messages.OrchestrationStatus.FAILED, messages.OrchestrationStatus.TERMINATED]
STARTED = events.execution_started("sum", instance_id="order-1", at=AWARE_FROM)
ENDED = events.execution_completed(messages.OrchestrationStatus.COMPLETED, "3", at=AWARE_TO)


class Operation(NamedTuple):
    """A call of a client, its request, the answer, and the result."""

    call: Call
    rpc: str
    request: Any
    answer: Any
    result: Any


OPERATIONS = {
    "rewind": Operation(
        lambda client: client.rewind_orchestration("order-1", reason="fixed"),
        "RewindInstance",
        messages.RewindInstanceRequest(instance_id="order-1", reason="fixed"),
        messages.RewindInstanceResponse(),
        None,
    ),
    "restart": Operation(
        lambda client: client.restart_orchestration("order-1"),
        "RestartInstance",
        messages.RestartInstanceRequest(instance_id="order-1"),
        messages.RestartInstanceResponse(instance_id="order-1"),
        "order-1",
    ),
    "restart as another": Operation(
        lambda client: client.restart_orchestration("order-1", restart_with_new_instance_id=True),
        "RestartInstance",
        messages.RestartInstanceRequest(instance_id="order-1", restart_with_new_instance_id=True),
        messages.RestartInstanceResponse(instance_id="order-2"),
        "order-2",
    ),
    "purge": Operation(
        lambda client: client.purge_orchestration("order-1"),
        "PurgeInstances",
        messages.PurgeInstancesRequest(
            instance_id="order-1", recursive=True, is_orchestration=True
        ),
        messages.PurgeInstancesResponse(deleted_instance_count=3, is_complete=True),
        PurgeInstancesResult(3, is_complete=True),
    ),
    "purge but its children": Operation(
        lambda client: client.purge_orchestration("order-1", False),
        "PurgeInstances",
        messages.PurgeInstancesRequest(instance_id="order-1", is_orchestration=True),
        messages.PurgeInstancesResponse(),
        PurgeInstancesResult(0, is_complete=None),
    ),
    "purge all": Operation(
        lambda client: client.purge_orchestrations_by(),
        "PurgeInstances",
        messages.PurgeInstancesRequest(purge_instance_filter=messages.PurgeInstanceFilter()),
        messages.PurgeInstancesResponse(deleted_instance_count=7, is_complete=True),
        PurgeInstancesResult(7, is_complete=True),
    ),
    "purge some": Operation(
        lambda client: client.purge_orchestrations_by(FROM, TO, STATUS, True, timedelta(seconds=5)),
        "PurgeInstances",
        messages.PurgeInstancesRequest(
            purge_instance_filter=messages.PurgeInstanceFilter(
                created_time_from=AWARE_FROM,
                created_time_to=AWARE_TO,
                runtime_status=SENT_STATUS,
                timeout=timedelta(seconds=5),
            ),
            recursive=True,
        ),
        messages.PurgeInstancesResponse(deleted_instance_count=1, is_complete=False),
        PurgeInstancesResult(1, is_complete=False),
    ),
    "list ids": Operation(
        lambda client: client.list_instance_ids(),
        "ListInstanceIds",
        messages.ListInstanceIdsRequest(),
        messages.ListInstanceIdsResponse(instance_ids=["a", "b"], last_instance_key="b!"),
        Page(["a", "b"], "b!"),
    ),
    "list some ids": Operation(
        lambda client: client.list_instance_ids(STATUS, FROM, TO, 5, "b!"),
        "ListInstanceIds",
        messages.ListInstanceIdsRequest(
            runtime_status=SENT_STATUS,
            completed_time_from=AWARE_FROM,
            completed_time_to=AWARE_TO,
            page_size=5,
            last_instance_key="b!",
        ),
        messages.ListInstanceIdsResponse(instance_ids=["c"]),
        Page(["c"], None),
    ),
    "history": Operation(
        lambda client: client.get_orchestration_history("order-1"),
        "StreamInstanceHistory",
        messages.StreamInstanceHistoryRequest(instance_id="order-1"),
        [messages.HistoryChunk(events=[STARTED]), messages.HistoryChunk(events=[ENDED])],
        [history.from_message(STARTED), history.from_message(ENDED)],
    ),
    "history of a run": Operation(
        lambda client: client.get_orchestration_history(
            "order-1", execution_id="run-1", for_work_item_processing=True
        ),
        "StreamInstanceHistory",
        messages.StreamInstanceHistoryRequest(
            instance_id="order-1", execution_id="run-1", for_work_item_processing=True
        ),
        [],
        [],
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
async def test_an_operation_sends_its_arguments_and_returns_the_answer(
    scripted: ScriptedClient, operation: Operation
) -> None:
    client = scripted.client(operation.answer)

    result = await result_of(operation.call(client))

    (asked,) = scripted.transport.asked
    assert (asked.method, asked.request) == (operation.rpc, operation.request)
    assert result == operation.result


@pytest.mark.parametrize(
    ("call", "rpc", "name"),
    [
        (lambda client: client.rewind_orchestration("order-1"), "RewindInstance", "FAILED"),
        (lambda client: client.restart_orchestration("order-1"), "RestartInstance", "ended"),
        (lambda client: client.purge_orchestration("order-1"), "PurgeInstances", "ended"),
    ],
)
async def test_a_status_that_does_not_allow_it_is_an_error_that_says_which_does(
    scripted: ScriptedClient, call: Call, rpc: str, name: str
) -> None:
    client = scripted.client(refused("FAILED_PRECONDITION", method=rpc))

    with pytest.raises(InstanceStatusError, match=rf"'order-1'.*{name}"):
        await result_of(call(client))


@pytest.mark.parametrize("name", ["rewind", "restart", "history"])
async def test_an_unknown_id_is_an_error_that_names_it(scripted: ScriptedClient, name: str) -> None:
    client = scripted.client(refused("NOT_FOUND", method=OPERATIONS[name].rpc))

    with pytest.raises(InstanceNotFoundError, match="'order-1'"):
        await result_of(OPERATIONS[name].call(client))


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
async def test_an_engine_that_cannot_do_it_is_an_error_that_names_both(
    scripted: ScriptedClient, operation: Operation
) -> None:
    client = scripted.client(refused("UNIMPLEMENTED", method=operation.rpc))

    with pytest.raises(ProtocolError, match=rf"sidecar\.test:4001 .*{operation.rpc}"):
        await result_of(operation.call(client))


@pytest.mark.parametrize(
    ("allowed", "deadline"), [(None, 3600), (timedelta(seconds=5), 35), (timedelta(days=2), 172830)]
)
async def test_the_call_of_a_purge_outlasts_the_purge(
    scripted: ScriptedClient, allowed: timedelta | None, deadline: float
) -> None:
    client = scripted.client(messages.PurgeInstancesResponse())

    await result_of(client.purge_orchestrations_by(timeout=allowed))

    (asked,) = scripted.transport.asked
    assert asked.timeout == deadline


async def test_the_timeout_of_a_purge_must_be_positive(scripted: ScriptedClient) -> None:
    client = scripted.client()

    with pytest.raises(ValueError, match=r"^timeout must be greater than zero\.$"):
        await result_of(client.purge_orchestrations_by(timeout=timedelta(0)))


def test_a_purge_result_is_made_from_a_response() -> None:
    response = messages.PurgeInstancesResponse(deleted_instance_count=2)

    assert new_purge_instances_result(response) == PurgeInstancesResult(2, is_complete=None)


def page(*ids: str, token: str | None = None) -> messages.QueryInstancesResponse:
    return messages.QueryInstancesResponse(
        orchestration_state=[messages.OrchestrationState(instance_id=id) for id in ids],
        continuation_token=token,
    )


GATHERINGS = pytest.mark.parametrize(
    "gathered",
    [
        lambda client, *query: result_of(client.get_all_orchestration_states(*query)),
        lambda client, *query: items_of(client.iter_orchestration_states(*query)),
    ],
    ids=["list", "iterator"],
)


@GATHERINGS
async def test_a_query_sends_its_conditions(scripted: ScriptedClient, gathered: Any) -> None:
    client = scripted.client(page())
    query = OrchestrationQuery(
        created_time_from=FROM,
        created_time_to=TO,
        runtime_status=STATUS,
        max_instance_count=5,
        fetch_inputs_and_outputs=True,
        instance_id_prefix="order-",
    )

    assert await gathered(client, query) == []

    assert scripted.request.query == messages.InstanceQuery(
        created_time_from=AWARE_FROM,
        created_time_to=AWARE_TO,
        runtime_status=SENT_STATUS,
        max_instance_count=5,
        fetch_inputs_and_outputs=True,
        instance_id_prefix="order-",
    )


@GATHERINGS
@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ((), 2**31 - 1),
        ((None,), 2**31 - 1),
        ((OrchestrationQuery(max_instance_count=None),), 0),
    ],
    ids=["nothing", "none", "no limit"],
)
async def test_a_query_without_conditions_finds_all(
    scripted: ScriptedClient, gathered: Any, query: Any, limit: int
) -> None:
    client = scripted.client(page("a"))

    assert [state.instance_id for state in await gathered(client, *query)] == ["a"]

    assert scripted.request.query == messages.InstanceQuery(max_instance_count=limit)


@GATHERINGS
@pytest.mark.parametrize("last", [None, "", "0", "after-b"], ids=repr)
async def test_pages_are_fetched_until_the_last(
    scripted: ScriptedClient, gathered: Any, last: str | None
) -> None:
    """Engines mark the last page by None, "" or "0"; the same token again would never end."""
    client = scripted.client(
        page("a", token="after-a"), page("b", token="after-b"), page("c", token=last)
    )

    states = await gathered(client, OrchestrationQuery(instance_id_prefix=""))

    assert [state.instance_id for state in states] == ["a", "b", "c"]
    tokens = [request.query.continuation_token for request in scripted.requests]
    assert tokens == [None, "after-a", "after-b"]


@GATHERINGS
async def test_a_page_may_be_empty_before_the_last(scripted: ScriptedClient, gathered: Any) -> None:
    client = scripted.client(page(token="1"), page("b"))

    assert [state.instance_id for state in await gathered(client)] == ["b"]


async def test_an_iterator_fetches_no_page_before_it_is_needed(scripted: ScriptedClient) -> None:
    client = scripted.client(page("a", token="after-a"))

    states = client.iter_orchestration_states()
    before = list(scripted.transport.asked)
    first = await first_of(states)

    assert before == []
    assert first.instance_id == "a"
    assert len(scripted.transport.asked) == 1


@pytest.mark.parametrize("last", [None, "", "0", "b!"], ids=repr)
async def test_the_token_of_the_last_page_is_none(
    scripted: ScriptedClient, last: str | None
) -> None:
    """So that a loop over pages ends on every engine."""
    client = scripted.client(
        messages.ListInstanceIdsResponse(instance_ids=["c"], last_instance_key=last)
    )

    found = await result_of(client.list_instance_ids(continuation_token="b!"))

    assert found == Page(["c"], None)


class Shouting(JsonDataConverter):
    """Tells that it was asked."""

    def deserialize(self, data: Any, target_type: Any = None) -> Any:
        return str(super().deserialize(data, target_type)).upper()


async def test_states_are_read_with_the_clients_converter(scripted: ScriptedClient) -> None:
    answer = messages.QueryInstancesResponse(
        orchestration_state=[messages.OrchestrationState(input='"sum"')]
    )
    client = scripted.client(answer, data_converter=Shouting())

    (state,) = await result_of(client.get_all_orchestration_states())

    assert state.get_input() == "SUM"
