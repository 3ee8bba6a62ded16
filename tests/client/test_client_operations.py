"""Operations on one instance: the requests and results of both clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from durabletask.client import AsyncTaskHubGrpcClient, OrchestrationStatus, TaskHubGrpcClient
from durabletask.protocol import messages
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    SidecarUnavailableError,
)
from tests.builders.client import ScriptedClient
from tests.builders.transport import FakeAsyncTransport, FakeTransport, refused, result_of

RUNNING = messages.GetInstanceResponse(
    exists=True, orchestration_state=messages.OrchestrationState(instance_id="order-1", name="sum")
)
UNKNOWN = messages.GetInstanceResponse(exists=False)
WAITS = ["wait_for_orchestration_start", "wait_for_orchestration_completion"]


async def test_scheduling_sends_all_that_was_given(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.CreateInstanceResponse(instance_id="order-1"))

    instance_id = await result_of(
        client.schedule_new_orchestration(
            "sum",
            input=[1, 2],
            instance_id="order-1",
            start_at=datetime(2030, 1, 1, tzinfo=UTC),
            tags={"team": "blue"},
            version="2",
        )
    )

    assert instance_id == "order-1"
    assert scripted.request == messages.CreateInstanceRequest(
        instance_id="order-1",
        name="sum",
        input="[1, 2]",
        scheduled_start_timestamp=datetime(2030, 1, 1, tzinfo=UTC),
        tags={"team": "blue"},
        version="2",
    )


async def test_scheduling_without_an_id_makes_a_new_one_each_time(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.CreateInstanceResponse(), messages.CreateInstanceResponse())

    first = await result_of(client.schedule_new_orchestration("sum"))
    second = await result_of(client.schedule_new_orchestration("sum"))

    assert len(first) == len(second) == 32
    assert [asked.request.instance_id for asked in scripted.transport.asked] == [first, second]
    assert first != second


async def test_a_function_is_scheduled_by_its_name(scripted: ScriptedClient) -> None:
    def settle_order(ctx: Any) -> None: ...

    client = scripted.client(messages.CreateInstanceResponse())

    await result_of(client.schedule_new_orchestration(settle_order))

    assert scripted.request.name == "settle_order"


async def test_no_input_is_no_payload(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.CreateInstanceResponse())

    await result_of(client.schedule_new_orchestration("sum"))

    assert scripted.request.input is None


@pytest.mark.parametrize(("asked", "sent"), [(None, "1"), ("", "1"), ("2", "2")])
async def test_the_clients_default_version_fills_a_gap(
    scripted: ScriptedClient, asked: str | None, sent: str
) -> None:
    client = scripted.client(messages.CreateInstanceResponse(), default_version="1")

    await result_of(client.schedule_new_orchestration("sum", version=asked))

    assert scripted.request.version == sent


async def test_a_naive_start_is_utc(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.CreateInstanceResponse())

    await result_of(client.schedule_new_orchestration("sum", start_at=datetime(2030, 1, 1, 12)))

    assert scripted.request.scheduled_start_timestamp == datetime(2030, 1, 1, 12, tzinfo=UTC)


async def test_an_aware_start_keeps_its_moment(scripted: ScriptedClient) -> None:
    noon_in_tokyo = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=9)))
    client = scripted.client(messages.CreateInstanceResponse())

    await result_of(client.schedule_new_orchestration("sum", start_at=noon_in_tokyo))

    assert scripted.request.scheduled_start_timestamp == datetime(2030, 1, 1, 3, tzinfo=UTC)


class OfficialPolicy:
    """Shaped like the message of the official SDK."""

    replaceableStatus = (1, 3)  # noqa: N815


@dataclass
class Policy:
    """Shaped as one may write it oneself."""

    replaceable_status: set[OrchestrationStatus]


@pytest.mark.parametrize(
    "policy",
    [
        [OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED],
        Policy({OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED}),
        OfficialPolicy(),
        messages.OrchestrationIdReusePolicy(
            replaceable_status=[
                messages.OrchestrationStatus.COMPLETED,
                messages.OrchestrationStatus.FAILED,
            ]
        ),
    ],
    ids=["statuses", "own", "official", "message"],
)
async def test_a_reuse_policy_may_be_written_in_four_ways(
    scripted: ScriptedClient, policy: Any
) -> None:
    client = scripted.client(messages.CreateInstanceResponse())

    await result_of(client.schedule_new_orchestration("sum", reuse_id_policy=policy))

    assert sorted(scripted.request.orchestration_id_reuse_policy.replaceable_status) == [1, 3]


async def test_a_taken_id_is_an_error_that_names_it_and_the_way_out(
    scripted: ScriptedClient,
) -> None:
    client = scripted.client(refused("ALREADY_EXISTS", method="StartInstance"))

    with pytest.raises(InstanceExistsError, match=r"'order-1'.*leave it out.*reuse_id_policy"):
        await result_of(client.schedule_new_orchestration("sum", instance_id="order-1"))


async def test_a_new_id_that_exists_already_came_from_a_repetition_of_this_call(
    scripted: ScriptedClient,
) -> None:
    """The answer to the first attempt was lost and the second found the instance there."""
    client = scripted.client(refused("ALREADY_EXISTS", method="StartInstance"))

    instance_id = await result_of(client.schedule_new_orchestration("sum"))

    assert instance_id == scripted.request.instance_id


@pytest.mark.parametrize("fetch_payloads", [True, False])
async def test_looking_up_fetches_payloads_as_asked(
    scripted: ScriptedClient, fetch_payloads: bool
) -> None:
    client = scripted.client(RUNNING)

    state = await result_of(
        client.get_orchestration_state("order-1", fetch_payloads=fetch_payloads)
    )

    assert state.name == "sum"
    assert scripted.request == messages.GetInstanceRequest(
        instance_id="order-1", get_inputs_and_outputs=fetch_payloads
    )


@pytest.mark.parametrize("answer", [UNKNOWN, refused("NOT_FOUND")], ids=["answered", "refused"])
@pytest.mark.parametrize("method", ["get_orchestration_state", *WAITS])
async def test_the_state_of_an_unknown_id_is_none(
    scripted: ScriptedClient, method: str, answer: Any
) -> None:
    client = scripted.client(answer)

    assert await result_of(getattr(client, method)("order-1")) is None


@pytest.mark.parametrize(
    ("method", "payloads"),
    [("wait_for_orchestration_start", False), ("wait_for_orchestration_completion", True)],
)
async def test_a_wait_sends_its_timeout_to_the_sidecar(
    scripted: ScriptedClient, method: str, payloads: bool
) -> None:
    client = scripted.client(RUNNING)

    state = await result_of(getattr(client, method)("order-1", timeout=7))

    (asked,) = scripted.transport.asked
    assert state.runtime_status is OrchestrationStatus.RUNNING
    assert asked.timeout == 7
    assert asked.request.get_inputs_and_outputs is payloads


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("wait_for_orchestration_start", "Timed-out waiting for the orchestration to start"),
        (
            "wait_for_orchestration_completion",
            "Timed-out waiting for the orchestration to complete",
        ),
    ],
)
async def test_a_wait_that_takes_too_long_is_the_builtin_timeout_error(
    scripted: ScriptedClient, method: str, text: str
) -> None:
    client = scripted.client(refused("DEADLINE_EXCEEDED"))

    with pytest.raises(TimeoutError) as raised:
        await result_of(getattr(client, method)("order-1", timeout=7))

    assert str(raised.value) == text


@pytest.mark.parametrize("method", WAITS)
async def test_a_wait_without_a_timeout_is_made_of_repeated_calls(
    scripted: ScriptedClient, method: str
) -> None:
    too_long = refused("DEADLINE_EXCEEDED")
    client = scripted.client(too_long, too_long, RUNNING)

    state = await result_of(getattr(client, method)("order-1", timeout=None))

    assert state.name == "sum"
    assert [asked.timeout for asked in scripted.transport.asked] == [60.0] * 3


@pytest.mark.parametrize("method", WAITS)
async def test_a_wait_that_reaches_no_sidecar_is_not_a_timeout(
    scripted: ScriptedClient, method: str
) -> None:
    client = scripted.client(refused("UNAVAILABLE"))

    with pytest.raises(SidecarUnavailableError):
        await result_of(getattr(client, method)("order-1"))


async def test_an_event_carries_its_name_and_data(scripted: ScriptedClient) -> None:
    client = scripted.client(messages.RaiseEventResponse())

    await result_of(client.raise_orchestration_event("order-1", "Approval", data={"by": "Ada"}))

    assert scripted.request == messages.RaiseEventRequest(
        instance_id="order-1", name="Approval", input='{"by": "Ada"}'
    )


async def test_an_event_for_an_unknown_id_is_an_error_that_names_it(
    scripted: ScriptedClient,
) -> None:
    client = scripted.client(refused("NOT_FOUND", method="RaiseEvent"))

    with pytest.raises(InstanceNotFoundError, match=r"'order-1'"):
        await result_of(client.raise_orchestration_event("order-1", "Approval"))


@pytest.mark.parametrize("recursive", [True, False])
async def test_terminating_sends_the_output(scripted: ScriptedClient, recursive: bool) -> None:
    client = scripted.client(messages.TerminateResponse())

    await result_of(
        client.terminate_orchestration("order-1", output="stopped", recursive=recursive)
    )

    assert scripted.request == messages.TerminateRequest(
        instance_id="order-1", output='"stopped"', recursive=recursive
    )


@pytest.mark.parametrize(
    ("method", "rpc"),
    [("suspend_orchestration", "SuspendInstance"), ("resume_orchestration", "ResumeInstance")],
)
async def test_suspending_and_resuming_give_the_reason(
    scripted: ScriptedClient, method: str, rpc: str
) -> None:
    client = scripted.client(messages.SuspendResponse())

    await result_of(getattr(client, method)("order-1", reason="audit"))

    (asked,) = scripted.transport.asked
    assert asked.method == rpc
    assert (asked.request.instance_id, asked.request.reason) == ("order-1", "audit")


async def test_closing_the_client_closes_its_transport(scripted: ScriptedClient) -> None:
    client = scripted.client()

    await result_of(client.close())

    assert scripted.transport.is_closed


async def test_leaving_a_with_block_closes() -> None:
    transport, async_transport = FakeTransport(), FakeAsyncTransport()

    with TaskHubGrpcClient(transport=transport):
        pass
    async with AsyncTaskHubGrpcClient(transport=async_transport):
        pass

    assert transport.is_closed
    assert async_transport.is_closed
