"""What no message can hold is refused before anything is sent, and named."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from builders.transport import FakeAsyncTransport, FakeTransport, result_of
from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.serialization import JsonDataConverter

Call = Callable[[Any], Any]

CLIENTS = pytest.mark.parametrize("client_class", [TaskHubGrpcClient, AsyncTaskHubGrpcClient])
SOME_ID = uuid.UUID(int=7)
LONE = "caf\udce9"

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
    """As one writes it who calls `orjson.dumps`."""

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
async def test_a_converter_that_gives_no_text_is_refused(client_class: Any, call: Call) -> None:
    client, transport = client_of(client_class, data_converter=Bytes())

    with pytest.raises(TypeError, match=r"data converter.*bytes"):
        await result_of(call(client))

    assert transport.asked == []
