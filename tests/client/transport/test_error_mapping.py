"""Which error a refusal becomes, its text, and the classes that catch it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc import StatusCode

from durabletask.failures import DurableTaskError
from durabletask.transport import error_mapping
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceStatusError,
    LeaseLostError,
    ProtocolError,
    Refusal,
    SidecarError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)
from durabletask.transport.grpc_errors import error_for

BASES = pytest.mark.parametrize("base", [grpc.RpcError, grpc.aio.AioRpcError])


def refusal(
    status: str, *, method: str = "GetInstance", details: str = "", instance_id: str = "order-1"
) -> Refusal:
    return Refusal("sidecar.test:4002", method, status, details, instance_id, timeout=30.0)


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (refusal("UNAVAILABLE"), SidecarUnavailableError),
        (refusal("DEADLINE_EXCEEDED"), SidecarUnavailableError),
        (refusal("CANCELLED", details="shutting down"), SidecarUnavailableError),
        (refusal("NOT_FOUND", method="RaiseEvent"), InstanceNotFoundError),
        (refusal("ALREADY_EXISTS", method="StartInstance"), InstanceExistsError),
        (refusal("UNIMPLEMENTED"), ProtocolError),
        (refusal("NOT_FOUND", method="CompleteActivityTask"), LeaseLostError),
        (refusal("FAILED_PRECONDITION", method="AbandonTaskActivityWorkItem"), LeaseLostError),
        (refusal("FAILED_PRECONDITION", method="RewindInstance"), InstanceStatusError),
        (refusal("FAILED_PRECONDITION", method="RestartInstance"), InstanceStatusError),
        (refusal("FAILED_PRECONDITION", method="PurgeInstances"), InstanceStatusError),
        (refusal("FAILED_PRECONDITION", method="GetInstance"), SidecarError),
        (
            refusal("UNKNOWN", details="orchestration has not yet completed"),
            InstanceStatusError,
        ),
        (refusal("UNKNOWN", details="no such instance exists"), InstanceNotFoundError),
        (refusal("UNKNOWN", details="orchestration instance already exists"), InstanceExistsError),
        (refusal("UNKNOWN", details="unknown instance ID/task ID combo: a/1"), LeaseLostError),
        (refusal("UNKNOWN", details="disk full"), SidecarError),
    ],
    ids=lambda value: f"{value.method}-{value.status}" if isinstance(value, Refusal) else "",
)
def test_a_refusal_is_mapped_to_its_error(refused: Refusal, kind: type[SidecarError]) -> None:
    assert error_mapping.kind_of(refused) is kind


@pytest.mark.parametrize("code", StatusCode, ids=lambda code: code.name)
@pytest.mark.parametrize("method", ["GetInstance", "StartInstance", "CompleteActivityTask"])
def test_every_text_names_the_address_and_hides_no_reason(code: StatusCode, method: str) -> None:
    refused = refusal(code.name, method=method, details="because")

    text = error_mapping.text_of(refused)

    assert "sidecar.test:4002" in text
    known = (InstanceNotFoundError, InstanceExistsError)
    assert (
        "because" in text
        or code is StatusCode.DEADLINE_EXCEEDED
        or (error_mapping.kind_of(refused) in known)
    )


@pytest.mark.parametrize("code", StatusCode, ids=lambda code: code.name)
def test_every_text_about_an_instance_names_it_unless_nobody_answered(code: StatusCode) -> None:
    refused = refusal(code.name, method="RaiseEvent")

    unanswered = error_mapping.kind_of(refused) in (SidecarUnavailableError, ProtocolError)

    assert "'order-1'" in error_mapping.text_of(refused) or unanswered


def test_an_unreachable_address_says_how_to_start_a_sidecar_there() -> None:
    text = error_mapping.text_of(refusal("UNAVAILABLE", details="Connection refused"))

    assert text == (
        "No sidecar answers at sidecar.test:4002 (Connection refused). "
        "Start one with `durabletask-sidecar --port 4002`, "
        "or set DURABLETASK_ENDPOINT to the address of one that runs."
    )


def test_a_missed_deadline_says_what_was_allowed() -> None:
    text = error_mapping.text_of(refusal("DEADLINE_EXCEEDED"))

    assert "did not answer GetInstance of instance 'order-1' within 30 s" in text


@pytest.mark.parametrize(
    ("method", "advice"),
    [
        ("RewindInstance", "Only an instance that has FAILED can be rewound"),
        ("RestartInstance", "Only an instance that has ended can be restarted"),
        ("PurgeInstances", "Only an instance that has ended can be purged"),
    ],
)
def test_a_status_that_does_not_allow_a_call_is_an_error_that_says_which_does(
    method: str, advice: str
) -> None:
    text = error_mapping.text_of(
        refusal("FAILED_PRECONDITION", method=method, details="is RUNNING")
    )

    assert f"refused {method} of instance 'order-1' (is RUNNING). {advice}" in text


def test_for_other_calls_the_error_says_how_to_look_up_the_status() -> None:
    refused = refusal(
        "UNKNOWN", method="TerminateInstance", details="orchestration has not yet completed"
    )

    assert "get_orchestration_state" in error_mapping.text_of(refused)


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("RewindInstance", "rewind instances"),
        ("RestartInstance", "restart instances"),
        ("PurgeInstances", "purge instances"),
        ("QueryInstances", "query instances"),
        ("ListInstanceIds", "list the ids of instances"),
        ("StreamInstanceHistory", "stream an instance's history"),
        ("SignalEntity", "keep entities"),
        ("GetEntity", "keep entities"),
        ("QueryEntities", "keep entities"),
        ("CleanEntityStorage", "keep entities"),
    ],
)
def test_an_engine_that_lacks_an_operation_is_named_with_it(method: str, what: str) -> None:
    refused = refusal("UNIMPLEMENTED", method=method)

    assert error_mapping.kind_of(refused) is UnsupportedOperationError
    assert (
        f"The engine at sidecar.test:4002 does not have the method {method}: it cannot {what}"
        in (error_mapping.text_of(refused))
    )


@pytest.mark.parametrize("metadata", ["initial_metadata", "trailing_metadata"])
def test_an_engine_that_gives_its_name_is_named(metadata: str) -> None:
    named: Any = {metadata: (("x-durabletask-engine", "tiny/0.1"),)}

    refused = replace(refusal("UNIMPLEMENTED", method="GetEntity"), **named)

    assert "The engine at sidecar.test:4002 (tiny/0.1) does not" in error_mapping.text_of(refused)


def test_the_error_for_a_large_message_says_what_to_do_with_large_data() -> None:
    text = error_mapping.text_of(refusal("RESOURCE_EXHAUSTED", details="5 MB are more than 4 MB"))

    assert "5 MB are more than 4 MB" in text
    assert "reference" in text


def test_no_hint_is_added_where_the_sidecar_names_the_limit() -> None:
    said = "2 streams are open; the limit is 2 (streams, --max-streams). Stop some."

    text = error_mapping.text_of(refusal("RESOURCE_EXHAUSTED", details=said))

    assert text.endswith(f"{said} (RESOURCE_EXHAUSTED).")


@BASES
@pytest.mark.parametrize("code", StatusCode, ids=lambda code: code.name)
def test_an_error_is_of_our_class_and_of_grpcs(code: StatusCode, base: type[grpc.RpcError]) -> None:
    error = error_for(refusal(code.name, details="because"), base)

    assert isinstance(error, base)
    assert isinstance(error, DurableTaskError)
    assert error.code() is code
    assert error.details() == "because"
    assert error.address == "sidecar.test:4002"
    assert error.instance_id == "order-1"
    assert str(error) == error_mapping.text_of(error.refusal)
    assert type(error).__name__ in repr(error)


@BASES
def test_an_error_can_be_pickled(base: type[grpc.RpcError]) -> None:
    error = error_for(refusal("NOT_FOUND"), base)

    arrived = pickle.loads(pickle.dumps(error))

    assert type(arrived) is type(error)
    assert arrived.refusal == error.refusal
    assert str(arrived) == str(error)


def test_bytes_that_cannot_be_decoded_are_a_protocol_error_whatever_the_status() -> None:
    refused = refusal("INTERNAL", details="3 bytes that cannot be decoded (truncated)")

    error = error_for(refused, grpc.RpcError, ProtocolError)

    assert isinstance(error, ProtocolError)
    assert "answered GetInstance with 3 bytes that cannot be decoded (truncated)" in str(error)
    assert type(pickle.loads(pickle.dumps(error))) is type(error)


def test_an_error_without_grpcs_base_can_be_pickled() -> None:
    error = LeaseLostError("gone", refusal("NOT_FOUND"))

    arrived = pickle.loads(pickle.dumps(error))

    assert (type(arrived), str(arrived), arrived.refusal) == (LeaseLostError, "gone", error.refusal)
