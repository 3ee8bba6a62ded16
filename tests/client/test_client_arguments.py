"""An argument that no message can hold is refused before anything is sent, and named."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durabletask.client import (
    AsyncTaskHubGrpcClient,
    EntityQuery,
    OrchestrationQuery,
    OrchestrationStatus,
    TaskHubGrpcClient,
)
from durabletask.entities import EntityInstanceId
from durabletask.serialization import JsonDataConverter
from tests.builders.transport import FakeAsyncTransport, FakeTransport, result_of

Call = Callable[[Any], Any]

CLIENTS = pytest.mark.parametrize("client_class", [TaskHubGrpcClient, AsyncTaskHubGrpcClient])
SOME_ID = uuid.UUID(int=7)
LONE = "caf\udce9"

FAILED = OrchestrationStatus.FAILED
ENTITY = EntityInstanceId("account", "a")


def states(client: Any, **conditions: Any) -> Any:
    return client.get_all_orchestration_states(OrchestrationQuery(**conditions))


def entities(client: Any, **conditions: Any) -> Any:
    return client.get_all_entities(EntityQuery(**conditions))


WRONG_TYPES: list[tuple[str, Call]] = [
    ("instance_id", lambda client: client.schedule_new_orchestration("sum", instance_id=SOME_ID)),
    ("instance_id", lambda client: client.schedule_new_orchestration("sum", instance_id=0)),
    ("tags['a']", lambda client: client.schedule_new_orchestration("sum", tags={"a": 1})),
    ("a key of tags", lambda client: client.schedule_new_orchestration("sum", tags={1: "a"})),
    ("tags", lambda client: client.schedule_new_orchestration("sum", tags=["a"])),
    ("version", lambda client: client.schedule_new_orchestration("sum", version=2)),
    ("version", lambda client: client.schedule_new_orchestration("sum", version=0)),
    ("start_at", lambda client: client.schedule_new_orchestration("sum", start_at=timedelta(1))),
    ("instance_id", lambda client: client.get_orchestration_state(None)),
    ("instance_id", lambda client: client.wait_for_orchestration_start(SOME_ID)),
    ("instance_id", lambda client: client.wait_for_orchestration_completion(SOME_ID)),
    ("instance_id", lambda client: client.raise_orchestration_event(SOME_ID, "go")),
    ("event_name", lambda client: client.raise_orchestration_event("order-1", 5)),
    ("instance_id", lambda client: client.terminate_orchestration(SOME_ID)),
    ("instance_id", lambda client: client.suspend_orchestration(SOME_ID)),
    ("reason", lambda client: client.suspend_orchestration("order-1", reason=5)),
    ("instance_id", lambda client: client.resume_orchestration(SOME_ID)),
    ("reason", lambda client: client.resume_orchestration("order-1", reason=5)),
    ("reuse_id_policy", lambda client: client.schedule_new_orchestration("a", reuse_id_policy=1)),
    ("reuse_id_policy", lambda client: client.schedule_new_orchestration("a", reuse_id_policy="a")),
    ("instance_id", lambda client: client.rewind_orchestration(SOME_ID)),
    ("reason", lambda client: client.rewind_orchestration("order-1", reason=5)),
    ("instance_id", lambda client: client.restart_orchestration(SOME_ID)),
    ("instance_id", lambda client: client.purge_orchestration(SOME_ID)),
    ("created_time_from", lambda client: client.purge_orchestrations_by(timedelta(1))),
    ("created_time_to", lambda client: client.purge_orchestrations_by(created_time_to=1)),
    ("runtime_status", lambda client: client.purge_orchestrations_by(runtime_status=FAILED)),
    ("timeout", lambda client: client.purge_orchestrations_by(timeout=5)),
    ("orchestration_query", lambda client: client.get_all_orchestration_states(EntityQuery())),
    ("runtime_status", lambda client: states(client, runtime_status=["FAILED"])),
    ("created_time_from", lambda client: states(client, created_time_from=1)),
    ("created_time_to", lambda client: states(client, created_time_to=1)),
    ("max_instance_count", lambda client: states(client, max_instance_count="5")),
    ("instance_id_prefix", lambda client: states(client, instance_id_prefix=5)),
    ("runtime_status", lambda client: client.list_instance_ids(runtime_status=FAILED)),
    ("completed_time_from", lambda client: client.list_instance_ids(completed_time_from=1)),
    ("completed_time_to", lambda client: client.list_instance_ids(completed_time_to=1)),
    ("page_size", lambda client: client.list_instance_ids(page_size="5")),
    ("continuation_token", lambda client: client.list_instance_ids(continuation_token=5)),
    ("instance_id", lambda client: client.get_orchestration_history(SOME_ID)),
    ("execution_id", lambda client: client.get_orchestration_history("a", execution_id=SOME_ID)),
    ("entity_instance_id", lambda client: client.signal_entity("@a@b", "add")),
    ("operation_name", lambda client: client.signal_entity(ENTITY, 5)),
    ("signal_time", lambda client: client.signal_entity(ENTITY, "add", 1, timedelta(1))),
    ("entity_instance_id", lambda client: client.get_entity("@a@b")),
    ("entity_query", lambda client: client.get_all_entities(OrchestrationQuery())),
    ("instance_id_starts_with", lambda client: entities(client, instance_id_starts_with=ENTITY)),
    ("last_modified_from", lambda client: entities(client, last_modified_from=1)),
    ("last_modified_to", lambda client: entities(client, last_modified_to=1)),
    ("page_size", lambda client: entities(client, page_size="5")),
]

BAD_VALUES: list[tuple[str, Call]] = [
    ("timeout", lambda client: client.purge_orchestrations_by(timeout=timedelta(0))),
    ("max_instance_count", lambda client: states(client, max_instance_count=-1)),
    ("page_size", lambda client: client.list_instance_ids(page_size=2**31)),
    ("page_size", lambda client: entities(client, page_size=-1)),
]


def client_of(client_class: Any, **settings: Any) -> tuple[Any, FakeTransport]:
    """A client whose transport has no answer: a call that is made is an error of its own."""
    kind = FakeTransport if client_class is TaskHubGrpcClient else FakeAsyncTransport
    transport = kind()
    return client_class(transport=transport, **settings), transport


@CLIENTS
@pytest.mark.parametrize(("argument", "call"), WRONG_TYPES)
async def test_a_wrong_type_is_named_and_nothing_is_sent(
    client_class: Any, argument: str, call: Call
) -> None:
    client, transport = client_of(client_class)

    with pytest.raises(TypeError) as raised:
        await result_of(call(client))

    assert str(raised.value).startswith(f"{argument} must be ")
    assert transport.asked == []


@CLIENTS
@pytest.mark.parametrize(("argument", "call"), BAD_VALUES)
async def test_a_value_out_of_range_is_named_and_nothing_is_sent(
    client_class: Any, argument: str, call: Call
) -> None:
    client, transport = client_of(client_class)

    with pytest.raises(ValueError, match=f"^{argument} must be "):
        await result_of(call(client))

    assert transport.asked == []


@CLIENTS
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.schedule_new_orchestration(LONE),
        lambda client: client.schedule_new_orchestration("sum", instance_id=LONE),
        lambda client: client.schedule_new_orchestration("sum", tags={"a": LONE}),
        lambda client: client.raise_orchestration_event("order-1", LONE),
    ],
)
async def test_a_lone_surrogate_is_refused_and_nothing_is_sent(
    client_class: Any, call: Call
) -> None:
    client, transport = client_of(client_class)

    with pytest.raises(ValueError, match=r"caf\\udce9"):
        await result_of(call(client))

    assert transport.asked == []


@CLIENTS
def test_a_default_version_must_be_text(client_class: Any) -> None:
    with pytest.raises(TypeError, match=r"^default_version must be a str or None, not 2"):
        client_of(client_class, default_version=2)


class Bytes(JsonDataConverter):
    """A converter of a program that calls `orjson.dumps`."""

    def serialize(self, value: Any) -> Any:
        text = super().serialize(value)
        return None if text is None else text.encode()


@CLIENTS
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.schedule_new_orchestration("sum", input=1),
        lambda client: client.raise_orchestration_event("order-1", "go", data=1),
        lambda client: client.terminate_orchestration("order-1", output=1),
    ],
)
async def test_a_converter_that_returns_no_text_is_refused(client_class: Any, call: Call) -> None:
    client, transport = client_of(client_class, data_converter=Bytes())

    with pytest.raises(TypeError, match=r"data converter.*bytes"):
        await result_of(call(client))

    assert transport.asked == []
