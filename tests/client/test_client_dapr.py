"""What both clients do differently where the engine speaks Dapr's dialect."""

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
from tests.builders.client import ScriptedService
from tests.builders.transport import refused, result_of

FOUND = messages.GetInstanceResponse(exists=True)
MISSING = messages.GetInstanceResponse(exists=False)
STARTED = messages.CreateInstanceResponse(instance_id="order-1")
NO_ANSWER = "DEADLINE_EXCEEDED"
ENDED = [OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED, OrchestrationStatus.TERMINATED]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def dapr(hub: ScriptedService) -> Callable[..., Any]:
    """Makes a client of an engine of Dapr's dialect, which gives these answers."""

    def client(*answers: Any, **settings: Any) -> Any:
        made = hub.client(*answers, **settings)
        hub.transport.engine = engine_of(dialects.DAPR)
        return made

    return client


def asked(hub: ScriptedService) -> list[str]:
    return [ask.method for ask in hub.transport.asked]


async def test_a_start_has_a_time_so_that_it_waits_for_no_worker(
    hub: ScriptedService, dapr: Any
) -> None:
    await result_of(dapr(STARTED).schedule_new_orchestration("sum", instance_id="order-1"))

    assert hub.request == messages.CreateInstanceRequest(
        instance_id="order-1",
        name="sum",
        scheduled_start_timestamp=LONG_AGO,
        enforce_unique_instance_id=True,
    )


async def test_a_start_that_has_a_time_keeps_it(hub: ScriptedService, dapr: Any) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)

    await result_of(dapr(STARTED).schedule_new_orchestration("sum", start_at=noon))

    assert hub.request.scheduled_start_timestamp == noon


@pytest.mark.parametrize(
    ("policy", "is_unique"),
    [(None, True), ([], True), (ENDED, False), ([*ENDED, OrchestrationStatus.CANCELED], False)],
)
async def test_an_id_is_reused_only_where_it_was_allowed(
    hub: ScriptedService, dapr: Any, policy: Any, *, is_unique: bool
) -> None:
    await result_of(dapr(STARTED).schedule_new_orchestration("sum", reuse_id_policy=policy))

    assert hub.request.enforce_unique_instance_id is is_unique
    assert hub.request.orchestration_id_reuse_policy is None


@pytest.mark.parametrize(
    "policy", [ENDED[:2], [*ENDED, OrchestrationStatus.RUNNING], [OrchestrationStatus.RUNNING]]
)
async def test_another_policy_is_refused_unsent(
    hub: ScriptedService, dapr: Any, policy: Any
) -> None:
    with pytest.raises(
        UnsupportedOperationError, match="terminate and purge the old one"
    ) as raised:
        await result_of(
            dapr().schedule_new_orchestration("sum", instance_id="order-1", reuse_id_policy=policy)
        )

    assert asked(hub) == []
    assert raised.value.instance_id == "order-1"


async def test_an_id_that_is_taken_is_an_error_as_elsewhere(dapr: Any) -> None:
    client = dapr(refused("ALREADY_EXISTS", method="StartInstance"))

    with pytest.raises(InstanceExistsError):
        await result_of(client.schedule_new_orchestration("sum", instance_id="order-1"))


async def test_what_is_not_kept_is_logged_once(dapr: Any, caplog: pytest.LogCaptureFixture) -> None:
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
async def test_an_instance_that_is_there_is_told(
    hub: ScriptedService, dapr: Any, name: str, arguments: Any
) -> None:
    await result_of(getattr(dapr(FOUND, object()), name)(*arguments))

    looked_up, told = asked(hub)
    assert looked_up == "GetInstance"
    assert told in {"RaiseEvent", "TerminateInstance", "SuspendInstance", "ResumeInstance"}


@pytest.mark.parametrize(
    "missing", [MISSING, refused("UNKNOWN", details="no such instance exists")]
)
@pytest.mark.parametrize(("name", "arguments"), TELLING)
async def test_nothing_is_left_for_an_instance_that_is_not_there(
    hub: ScriptedService, dapr: Any, name: str, arguments: Any, missing: Any
) -> None:
    with pytest.raises(InstanceNotFoundError, match="has no instance 'order-1'"):
        await result_of(getattr(dapr(missing), name)(*arguments))

    assert asked(hub) == ["GetInstance"]


@pytest.mark.parametrize(("name", "arguments"), WAITING)
async def test_an_answer_that_waits_for_a_worker_is_not_waited_for(
    hub: ScriptedService, dapr: Any, caplog: pytest.LogCaptureFixture, name: str, arguments: Any
) -> None:
    await result_of(getattr(dapr(FOUND, refused(NO_ANSWER)), name)(*arguments))

    assert hub.transport.asked[1].timeout == 10
    assert "takes effect when a worker runs the instance" in caplog.text


async def test_an_event_that_is_not_answered_may_not_have_arrived(dapr: Any) -> None:
    client = dapr(FOUND, refused(NO_ANSWER, method="RaiseEvent"))

    with pytest.raises(SidecarUnavailableError):
        await result_of(client.raise_orchestration_event("order-1", "paid"))


@pytest.mark.parametrize(("name", "arguments"), TELLING)
async def test_an_engine_that_is_away_is_away(dapr: Any, name: str, arguments: Any) -> None:
    with pytest.raises(SidecarUnavailableError):
        await result_of(getattr(dapr(FOUND, refused("UNAVAILABLE")), name)(*arguments))


@pytest.mark.parametrize(
    "missing", [MISSING, refused("UNKNOWN", details="no such instance exists")]
)
async def test_what_is_not_there_is_not_purged(
    hub: ScriptedService, dapr: Any, missing: Any
) -> None:
    result = await result_of(dapr(missing).purge_orchestration("order-1"))

    assert result.deleted_instance_count == 0
    assert asked(hub) == ["GetInstance"]


async def test_what_is_there_is_purged(dapr: Any) -> None:
    purged = messages.PurgeInstancesResponse(deleted_instance_count=2)

    result = await result_of(dapr(FOUND, purged).purge_orchestration("order-1"))

    assert (result.deleted_instance_count, result.is_complete) == (2, None)


NOT_BEGUN = "failed to purge orchestration state: no such instance exists"
RUNNING = "failed to purge orchestration state: orchestration has not yet completed"


@pytest.mark.parametrize("answers", [[RUNNING], [NOT_BEGUN, FOUND]], ids=["running", "not begun"])
async def test_what_has_not_ended_is_not_purged(dapr: Any, answers: list[Any]) -> None:
    details, *then = answers
    refusal = refused("UNKNOWN", method="PurgeInstances", details=details)

    with pytest.raises(InstanceStatusError, match="Only an instance that has ended can be purged"):
        await result_of(dapr(FOUND, refusal, *then).purge_orchestration("order-1"))


async def test_what_has_gone_meanwhile_counts_as_none_deleted(dapr: Any) -> None:
    refusal = refused("UNKNOWN", method="PurgeInstances", details=NOT_BEGUN)

    result = await result_of(dapr(FOUND, refusal, MISSING).purge_orchestration("order-1"))

    assert result.deleted_instance_count == 0


async def test_all_ids_are_listed_page_by_page(hub: ScriptedService, dapr: Any) -> None:
    client = dapr(messages.PageInstanceIdsResponse(instance_ids=["a"], continuation_token="more"))

    page = await result_of(client.list_instance_ids(page_size=1, continuation_token="first"))

    assert (page.items, page.continuation_token) == (["a"], "more")
    assert hub.request == messages.PageInstanceIdsRequest(continuation_token="first", page_size=1)


async def test_the_page_size_is_left_to_the_engine(hub: ScriptedService, dapr: Any) -> None:
    page = await result_of(dapr(messages.PageInstanceIdsResponse()).list_instance_ids())

    assert page.continuation_token is None
    assert hub.request == messages.PageInstanceIdsRequest()


async def test_history_comes_at_once(hub: ScriptedService, dapr: Any) -> None:
    event = messages.HistoryEvent(
        event_id=-1, timer_fired=messages.TimerFiredEvent(timer_id=3, fire_at=LONG_AGO)
    )
    client = dapr(messages.GetInstanceHistoryResponse(events=[event]))

    (told,) = await result_of(client.get_orchestration_history("order-1"))

    assert told.timer_id == 3
    assert asked(hub) == ["GetInstanceHistory"]


async def test_no_history_of_an_instance_that_is_not_there_is_an_error(dapr: Any) -> None:
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
async def test_conditions_that_the_engine_does_not_know_are_refused_unsent(
    hub: ScriptedService, dapr: Any, name: str, options: dict[str, Any], instead: str
) -> None:
    with pytest.raises(UnsupportedOperationError, match=f"Dapr's dialect cannot .*{instead}"):
        await result_of(getattr(dapr(), name)(**options))

    assert asked(hub) == []


async def test_a_rerun_keeps_the_recorded_input(hub: ScriptedService, dapr: Any) -> None:
    client = dapr(messages.RerunOrchestrationFromEventResponse(new_instance_id="order-2"))

    new_id = await result_of(
        client.rerun_orchestration_from_event("order-1", 4, new_instance_id="order-2")
    )

    assert new_id == "order-2"
    assert hub.request == messages.RerunOrchestrationFromEventRequest(
        source_instance_id="order-1", event_id=4, new_instance_id="order-2"
    )


@pytest.mark.parametrize(("given", "sent"), [([1], "[1]"), (None, None)])
async def test_a_rerun_may_have_another_input(
    hub: ScriptedService, dapr: Any, given: Any, sent: str | None
) -> None:
    client = dapr(messages.RerunOrchestrationFromEventResponse())

    new_id = await result_of(client.rerun_orchestration_from_event("order-1", 4, input=given))

    assert hub.request.overwrite_input
    assert hub.request.input == sent
    assert hub.request.new_instance_id == new_id != ""


async def test_a_dialect_that_there_is_not_is_refused_when_the_client_is_made(
    hub: ScriptedService,
) -> None:
    with pytest.raises(ValueError, match="'auto', 'taskhub', 'dapr'"):
        hub.client(dialect="dts")
