"""How both clients differ where the engine speaks Dapr's dialect."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from durabletask.client import OrchestrationStatus
from durabletask.protocol import dialects, messages
from durabletask.transport.engine_detection import engine_of
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceStatusError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)
from tests.builders.client import ScriptedClient
from tests.builders.transport import refused, result_of

FOUND = messages.GetInstanceResponse(exists=True)
MISSING = messages.GetInstanceResponse(exists=False)
STARTED = messages.CreateInstanceResponse(instance_id="order-1")
NO_ANSWER = "DEADLINE_EXCEEDED"
ENDED = [OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED, OrchestrationStatus.TERMINATED]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def dapr(scripted: ScriptedClient) -> Callable[..., Any]:
    """Makes a client of an engine of Dapr's dialect, which gives these answers."""

    def client(*answers: Any, **settings: Any) -> Any:
        made = scripted.client(*answers, **settings)
        scripted.transport.engine = engine_of(dialects.DAPR)
        return made

    return client


def asked(scripted: ScriptedClient) -> list[str]:
    return [ask.method for ask in scripted.transport.asked]


async def test_a_start_is_sent_with_a_time_so_that_its_answer_waits_for_no_worker(
    scripted: ScriptedClient, dapr: Any
) -> None:
    await result_of(dapr(STARTED).schedule_new_orchestration("sum", instance_id="order-1"))

    assert scripted.request == messages.CreateInstanceRequest(
        instance_id="order-1",
        name="sum",
        scheduled_start_timestamp=LONG_AGO,
        enforce_unique_instance_id=True,
    )


async def test_a_start_that_has_a_time_keeps_it(scripted: ScriptedClient, dapr: Any) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)

    await result_of(dapr(STARTED).schedule_new_orchestration("sum", start_at=noon))

    assert scripted.request.scheduled_start_timestamp == noon


@pytest.mark.parametrize(
    ("policy", "is_unique"),
    [(None, True), ([], True), (ENDED, False), ([*ENDED, OrchestrationStatus.CANCELED], False)],
)
async def test_an_id_is_reused_only_where_it_was_allowed(
    scripted: ScriptedClient, dapr: Any, policy: Any, *, is_unique: bool
) -> None:
    await result_of(dapr(STARTED).schedule_new_orchestration("sum", reuse_id_policy=policy))

    assert scripted.request.enforce_unique_instance_id is is_unique
    assert scripted.request.orchestration_id_reuse_policy is None


@pytest.mark.parametrize(
    "policy", [ENDED[:2], [*ENDED, OrchestrationStatus.RUNNING], [OrchestrationStatus.RUNNING]]
)
async def test_another_policy_is_refused_before_it_is_sent(
    scripted: ScriptedClient, dapr: Any, policy: Any
) -> None:
    with pytest.raises(
        UnsupportedOperationError, match="terminate and purge the old one"
    ) as raised:
        await result_of(
            dapr().schedule_new_orchestration("sum", instance_id="order-1", reuse_id_policy=policy)
        )

    assert asked(scripted) == []
    assert raised.value.instance_id == "order-1"


async def test_an_id_that_is_taken_is_an_error(dapr: Any) -> None:
    client = dapr(refused("ALREADY_EXISTS", method="StartInstance"))

    with pytest.raises(InstanceExistsError):
        await result_of(client.schedule_new_orchestration("sum", instance_id="order-1"))


async def test_a_field_that_the_engine_does_not_store_is_logged_once(
    dapr: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = dapr(STARTED, STARTED, STARTED)

    await result_of(client.schedule_new_orchestration("sum", tags={"team": "blue"}))
    await result_of(client.schedule_new_orchestration("sum", tags={"team": "red"}))
    await result_of(client.schedule_new_orchestration("sum", version="2"))

    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "Starting instances without tags, which an engine of Dapr's dialect does not store",
        "Starting instances without version, which an engine of Dapr's dialect does not store",
    ]


TELLING: list[tuple[str, tuple[Any, ...]]] = [
    ("raise_orchestration_event", ("order-1", "paid")),
    ("terminate_orchestration", ("order-1",)),
    ("suspend_orchestration", ("order-1",)),
    ("resume_orchestration", ("order-1",)),
]


WAITING = TELLING[1:]


@pytest.mark.parametrize(("name", "arguments"), TELLING)
async def test_an_existing_instance_is_looked_up_and_then_called(
    scripted: ScriptedClient, dapr: Any, name: str, arguments: Any
) -> None:
    await result_of(getattr(dapr(FOUND, object()), name)(*arguments))

    looked_up, told = asked(scripted)
    assert looked_up == "GetInstance"
    assert told in {"RaiseEvent", "TerminateInstance", "SuspendInstance", "ResumeInstance"}


@pytest.mark.parametrize(
    "missing", [MISSING, refused("UNKNOWN", details="no such instance exists")]
)
@pytest.mark.parametrize(("name", "arguments"), TELLING)
async def test_nothing_is_sent_to_an_instance_that_does_not_exist(
    scripted: ScriptedClient, dapr: Any, name: str, arguments: Any, missing: Any
) -> None:
    with pytest.raises(InstanceNotFoundError, match="has no instance 'order-1'"):
        await result_of(getattr(dapr(missing), name)(*arguments))

    assert asked(scripted) == ["GetInstance"]


@pytest.mark.parametrize(("name", "arguments"), WAITING)
async def test_an_answer_that_comes_only_with_a_worker_is_not_awaited(
    scripted: ScriptedClient, dapr: Any, caplog: pytest.LogCaptureFixture, name: str, arguments: Any
) -> None:
    await result_of(getattr(dapr(FOUND, refused(NO_ANSWER)), name)(*arguments))

    assert scripted.transport.asked[1].timeout == 10
    assert "takes effect when a worker runs the instance" in caplog.text


async def test_an_event_that_is_not_answered_is_an_error(dapr: Any) -> None:
    client = dapr(FOUND, refused(NO_ANSWER, method="RaiseEvent"))

    with pytest.raises(SidecarUnavailableError):
        await result_of(client.raise_orchestration_event("order-1", "paid"))


@pytest.mark.parametrize(("name", "arguments"), TELLING)
async def test_an_unreachable_engine_is_an_error(dapr: Any, name: str, arguments: Any) -> None:
    with pytest.raises(SidecarUnavailableError):
        await result_of(getattr(dapr(FOUND, refused("UNAVAILABLE")), name)(*arguments))


@pytest.mark.parametrize(
    "missing", [MISSING, refused("UNKNOWN", details="no such instance exists")]
)
async def test_an_instance_that_does_not_exist_is_not_purged(
    scripted: ScriptedClient, dapr: Any, missing: Any
) -> None:
    result = await result_of(dapr(missing).purge_orchestration("order-1"))

    assert result.deleted_instance_count == 0
    assert asked(scripted) == ["GetInstance"]


async def test_an_existing_instance_is_purged(dapr: Any) -> None:
    purged = messages.PurgeInstancesResponse(deleted_instance_count=2)

    result = await result_of(dapr(FOUND, purged).purge_orchestration("order-1"))

    assert (result.deleted_instance_count, result.is_complete) == (2, None)


NOT_BEGUN = "failed to purge orchestration state: no such instance exists"
RUNNING = "failed to purge orchestration state: orchestration has not yet completed"


@pytest.mark.parametrize("answers", [[RUNNING], [NOT_BEGUN, FOUND]], ids=["running", "not begun"])
async def test_an_instance_that_has_not_ended_is_not_purged(dapr: Any, answers: list[Any]) -> None:
    details, *then = answers
    refusal = refused("UNKNOWN", method="PurgeInstances", details=details)

    with pytest.raises(InstanceStatusError, match="Only an instance that has ended can be purged"):
        await result_of(dapr(FOUND, refusal, *then).purge_orchestration("order-1"))


async def test_an_instance_that_was_deleted_meanwhile_counts_as_none_deleted(dapr: Any) -> None:
    refusal = refused("UNKNOWN", method="PurgeInstances", details=NOT_BEGUN)

    result = await result_of(dapr(FOUND, refusal, MISSING).purge_orchestration("order-1"))

    assert result.deleted_instance_count == 0


async def test_all_ids_are_listed_page_by_page(scripted: ScriptedClient, dapr: Any) -> None:
    client = dapr(messages.PageInstanceIdsResponse(instance_ids=["a"], continuation_token="more"))

    page = await result_of(client.list_instance_ids(page_size=1, continuation_token="first"))

    assert (page.items, page.continuation_token) == (["a"], "more")
    assert scripted.request == messages.PageInstanceIdsRequest(
        continuation_token="first", page_size=1
    )


async def test_the_page_size_is_left_to_the_engine(scripted: ScriptedClient, dapr: Any) -> None:
    page = await result_of(dapr(messages.PageInstanceIdsResponse()).list_instance_ids())

    assert page.continuation_token is None
    assert scripted.request == messages.PageInstanceIdsRequest()


async def test_history_comes_in_one_answer(scripted: ScriptedClient, dapr: Any) -> None:
    event = messages.HistoryEvent(
        event_id=-1, timer_fired=messages.TimerFiredEvent(timer_id=3, fire_at=LONG_AGO)
    )
    client = dapr(messages.GetInstanceHistoryResponse(events=[event]))

    (told,) = await result_of(client.get_orchestration_history("order-1"))

    assert told.timer_id == 3
    assert asked(scripted) == ["GetInstanceHistory"]


async def test_the_history_of_an_instance_that_does_not_exist_is_an_error(dapr: Any) -> None:
    client = dapr(messages.GetInstanceHistoryResponse(), MISSING)

    with pytest.raises(InstanceNotFoundError):
        await result_of(client.get_orchestration_history("order-1"))


async def test_an_instance_that_has_not_begun_has_no_history_yet(dapr: Any) -> None:
    client = dapr(messages.GetInstanceHistoryResponse(), FOUND)

    assert await result_of(client.get_orchestration_history("order-1")) == []


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("purge_orchestrations_by", {}, "purge each by its id with purge_orchestration"),
    ("list_instance_ids", {"runtime_status": ENDED}, "list all ids"),
    ("list_instance_ids", {"completed_time_from": LONG_AGO}, "list all ids"),
    ("list_instance_ids", {"completed_time_to": LONG_AGO}, "list all ids"),
    (
        "get_orchestration_history",
        {"instance_id": "order-1", "execution_id": "run-1"},
        "leave execution_id out",
    ),
]


@pytest.mark.parametrize(("name", "options", "instead"), REFUSED)
async def test_conditions_that_the_engine_does_not_have_are_refused_before_they_are_sent(
    scripted: ScriptedClient, dapr: Any, name: str, options: dict[str, Any], instead: str
) -> None:
    with pytest.raises(UnsupportedOperationError, match=f"Dapr's dialect cannot .*{instead}"):
        await result_of(getattr(dapr(), name)(**options))

    assert asked(scripted) == []


async def test_a_rerun_keeps_the_recorded_input(scripted: ScriptedClient, dapr: Any) -> None:
    client = dapr(messages.RerunOrchestrationFromEventResponse(new_instance_id="order-2"))

    new_id = await result_of(
        client.rerun_orchestration_from_event("order-1", 4, new_instance_id="order-2")
    )

    assert new_id == "order-2"
    assert scripted.request == messages.RerunOrchestrationFromEventRequest(
        source_instance_id="order-1", event_id=4, new_instance_id="order-2"
    )


@pytest.mark.parametrize(("given", "sent"), [([1], "[1]"), (None, None)])
async def test_a_rerun_may_have_another_input(
    scripted: ScriptedClient, dapr: Any, given: Any, sent: str | None
) -> None:
    client = dapr(messages.RerunOrchestrationFromEventResponse())

    new_id = await result_of(client.rerun_orchestration_from_event("order-1", 4, input=given))

    assert scripted.request.overwrite_input
    assert scripted.request.input == sent
    assert scripted.request.new_instance_id == new_id != ""


async def test_an_unknown_dialect_is_refused_when_the_client_is_made(
    scripted: ScriptedClient,
) -> None:
    with pytest.raises(ValueError, match="'auto', 'taskhub', 'dapr'"):
        scripted.client(dialect="dts")
