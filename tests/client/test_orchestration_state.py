"""The state of an instance, as a client makes it from a message."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.client import (
    OrchestrationFailedError,
    OrchestrationState,
    OrchestrationStatus,
    new_orchestration_state,
    parse_orchestration_state,
)
from durabletask.protocol import codec, messages, wire
from durabletask.serialization import JsonDataConverter


def message(**fields: Any) -> messages.OrchestrationState:
    return messages.OrchestrationState(**{"instance_id": "order-1", "name": "sum"} | fields)


def test_times_are_naive_utc() -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

    state = parse_orchestration_state(message(created_timestamp=at, last_updated_timestamp=at))

    assert state.created_at == state.last_updated_at == datetime(2030, 1, 2, 3, 4, 5, 678)


def test_a_time_that_is_missing_is_the_epoch() -> None:
    assert parse_orchestration_state(message()).created_at == datetime(1970, 1, 1)


def test_a_state_has_every_field_of_the_protocol() -> None:
    at = datetime(2030, 1, 2, tzinfo=UTC)

    state = parse_orchestration_state(
        message(
            version="2",
            tags={"team": "blue"},
            execution_id="run-1",
            parent_instance_id="order-0",
            scheduled_start_timestamp=at,
            completed_timestamp=at,
        )
    )

    assert (state.version, state.tags) == ("2", {"team": "blue"})
    assert (state.execution_id, state.parent_instance_id) == ("run-1", "order-0")
    assert state.scheduled_start == state.completed_at == datetime(2030, 1, 2)


def test_a_field_that_the_sidecar_does_not_send_is_empty() -> None:
    state = parse_orchestration_state(message(version="", execution_id=""))

    assert state.version is state.execution_id is state.parent_instance_id is None
    assert state.scheduled_start is state.completed_at is None
    assert state.tags == {}


def test_the_arguments_of_the_official_constructor_suffice() -> None:
    at = datetime(2030, 1, 1)
    status = OrchestrationStatus.RUNNING

    state = OrchestrationState("order-1", "sum", status, at, at, None, None, None, None)

    assert state == replace(state, tags={}, version=None)


@dataclass
class Money:
    amount: int


def test_payloads_come_as_values_of_the_type_asked_for() -> None:
    state = parse_orchestration_state(
        message(input="[1, 2]", output='{"amount": 3}', custom_status='"half way"')
    )

    assert state.get_input() == [1, 2]
    assert state.get_output(Money) == Money(3)
    assert state.get_custom_status() == "half way"


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_payload_is_none(text: str | None) -> None:
    state = parse_orchestration_state(message(input=text, output=text, custom_status=text))

    assert state.serialized_input is state.serialized_output is None
    assert state.serialized_custom_status is None
    assert state.get_input() is state.get_output() is state.get_custom_status() is None


def test_a_failure_is_raised_on_request_only() -> None:
    details = messages.TaskFailureDetails(error_type="ValueError", error_message="too late")
    state = parse_orchestration_state(message(failure_details=details))

    with pytest.raises(OrchestrationFailedError) as raised:
        state.raise_if_failed()

    assert str(raised.value) == "Orchestration 'order-1' failed: too late"
    assert raised.value.failure_details.error_type == "ValueError"


@pytest.mark.parametrize("details", [None, messages.TaskFailureDetails()], ids=["none", "empty"])
def test_without_details_nothing_failed(details: Any) -> None:
    state = parse_orchestration_state(
        message(
            failure_details=details,
            orchestration_status=messages.OrchestrationStatus.TERMINATED,
        )
    )

    state.raise_if_failed()

    assert state.failure_details is None


@pytest.mark.parametrize("status", list(OrchestrationStatus), ids=str)
def test_every_status_of_the_protocol_has_its_name(status: OrchestrationStatus) -> None:
    assert messages.OrchestrationStatus(status.value).name == str(status)


def test_no_status_of_the_protocol_is_missing() -> None:
    assert {int(status) for status in messages.OrchestrationStatus} == {
        status.value for status in OrchestrationStatus
    }


@given(st.integers(9, 2**31 - 1))
def test_an_unknown_status_is_kept(number: int) -> None:
    # Field 4, as a newer sidecar would send it.
    raw = bytes([4 << 3]) + wire.varint(number)

    state = parse_orchestration_state(codec.decode(messages.OrchestrationState, raw))

    assert state.runtime_status.value == number
    assert state.runtime_status is OrchestrationStatus(number)
    assert str(state.runtime_status) == f"STATUS_{number}"
    assert pickle.loads(pickle.dumps(state.runtime_status)) is state.runtime_status


def test_a_status_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="RUNNING"):
        OrchestrationStatus("RUNNING")


def test_an_unknown_instance_has_no_state() -> None:
    assert new_orchestration_state("order-1", messages.GetInstanceResponse(exists=False)) is None


def test_the_state_carries_the_id_that_was_asked_for() -> None:
    response = messages.GetInstanceResponse(
        exists=True, orchestration_state=message(instance_id="ORDER-1")
    )

    state = new_orchestration_state("order-1", response)

    assert state is not None
    assert state.instance_id == "order-1"


def test_the_converter_is_not_compared() -> None:
    state: OrchestrationState = parse_orchestration_state(message(input="1"))

    other = replace(state, _data_converter=JsonDataConverter())

    assert other == state
    assert "onverter" not in repr(state)
