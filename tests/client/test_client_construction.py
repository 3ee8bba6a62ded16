"""What a client may be made from, and what importing it costs."""

from __future__ import annotations

import inspect
import io
import logging
import subprocess
import sys
from typing import Any

import pytest

from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.grpc_options import GrpcClientResiliencyOptions
from durabletask.protocol import messages
from tests.builders.transport import FakeTransport

CLIENTS = pytest.mark.parametrize("client_class", [TaskHubGrpcClient, AsyncTaskHubGrpcClient])

OFFICIAL_ARGUMENTS = [
    "host_address",
    "metadata",
    "log_handler",
    "log_formatter",
    "logger",
    "channel",
    "secure_channel",
    "interceptors",
    "channel_options",
    "resiliency_options",
    "default_version",
    "payload_store",
    "data_converter",
    "emit_trace_spans",
]


@CLIENTS
def test_the_constructor_takes_what_the_official_one_takes(client_class: Any) -> None:
    parameters = inspect.signature(client_class).parameters

    assert set(OFFICIAL_ARGUMENTS) <= set(parameters)
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_both_clients_have_the_same_methods_and_arguments() -> None:
    def surface(client_class: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(client_class).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    assert surface(TaskHubGrpcClient) == surface(AsyncTaskHubGrpcClient)


@pytest.mark.parametrize("name", [name for name in vars(TaskHubGrpcClient) if name[0] != "_"])
def test_both_clients_document_a_method_alike(name: str) -> None:
    documented, asynchronous = (
        getattr(client_class, name) for client_class in (TaskHubGrpcClient, AsyncTaskHubGrpcClient)
    )

    assert documented.__doc__ == asynchronous.__doc__


# As `inspect.signature` prints those of the official SDK, without the types.
OFFICIAL_SIGNATURES = {
    "clean_entity_storage": "remove_empty_entities=True, release_orphaned_locks=True",
    "get_all_entities": "entity_query=None",
    "get_all_orchestration_states": "orchestration_query=None",
    "get_entity": "entity_instance_id, include_state=True",
    "get_orchestration_history": (
        "instance_id, *, execution_id=None, for_work_item_processing=False"
    ),
    "get_orchestration_state": "instance_id, *, fetch_payloads=True",
    "list_instance_ids": (
        "runtime_status=None, completed_time_from=None, completed_time_to=None, "
        "page_size=None, continuation_token=None"
    ),
    "purge_orchestration": "instance_id, recursive=True",
    "purge_orchestrations_by": (
        "created_time_from=None, created_time_to=None, runtime_status=None, "
        "recursive=False, timeout=None"
    ),
    "raise_orchestration_event": "instance_id, event_name, *, data=None",
    "restart_orchestration": "instance_id, *, restart_with_new_instance_id=False",
    "resume_orchestration": "instance_id, *, reason=None",
    "rewind_orchestration": "instance_id, *, reason=None",
    "schedule_new_orchestration": (
        "orchestrator, *, input=None, instance_id=None, start_at=None, reuse_id_policy=None, "
        "tags=None, version=None"
    ),
    "signal_entity": "entity_instance_id, operation_name, input=None, signal_time=None",
    "suspend_orchestration": "instance_id, *, reason=None",
    "terminate_orchestration": "instance_id, *, output=None, recursive=True",
    "wait_for_orchestration_completion": "instance_id, *, fetch_payloads=True, timeout=60",
    "wait_for_orchestration_start": "instance_id, *, fetch_payloads=False, timeout=60",
}


@CLIENTS
@pytest.mark.parametrize(("name", "official"), OFFICIAL_SIGNATURES.items())
def test_a_method_is_called_as_the_official_one(
    client_class: Any, name: str, official: str
) -> None:
    signature = inspect.signature(getattr(client_class, name))

    untyped = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]

    assert str(inspect.Signature(untyped)) == f"(self, {official})"


@CLIENTS
def test_a_logger_and_a_handler_exclude_each_other(client_class: Any) -> None:
    with pytest.raises(ValueError, match="not both"):
        client_class(logger=logging.getLogger("mine"), log_handler=logging.NullHandler())


@CLIENTS
@pytest.mark.parametrize(
    "arguments",
    [{"log_handler": logging.NullHandler()}, {"log_formatter": logging.Formatter()}],
    ids=["handler", "formatter"],
)
def test_a_handler_or_formatter_is_deprecated(client_class: Any, arguments: Any) -> None:
    with pytest.warns(DeprecationWarning, match="logger") as warned:
        client_class(**arguments)

    assert warned[0].filename == __file__, "the warning should point at its cause"


def test_a_given_logger_receives_the_clients_records(caplog: pytest.LogCaptureFixture) -> None:
    transport = FakeTransport(messages.CreateInstanceResponse())
    client = TaskHubGrpcClient(
        transport=transport, logger=logging.getLogger("mine"), metadata=[("taskhub", "orders")]
    )

    with caplog.at_level(logging.INFO, logger="mine"):
        client.schedule_new_orchestration("sum", instance_id="order-1")

    (record,) = caplog.records
    assert record.message == "Starting orchestration 'sum' with instance id 'order-1'"
    fields = {name: getattr(record, name) for name in ("hub", "instance_id", "task_name")}
    assert fields == {"hub": "orders", "instance_id": "order-1", "task_name": "sum"}


def test_a_given_handler_receives_them_too() -> None:
    heard = io.StringIO()
    transport = FakeTransport(messages.CreateInstanceResponse())
    with pytest.warns(DeprecationWarning, match="logger"):
        client = TaskHubGrpcClient(
            transport=transport,
            log_handler=logging.StreamHandler(heard),
            log_formatter=logging.Formatter("[%(message)s]"),
        )

    client.schedule_new_orchestration("sum", instance_id="order-1")

    assert heard.getvalue() == "[Starting orchestration 'sum' with instance id 'order-1']\n"


@CLIENTS
def test_a_payload_store_is_refused_rather_than_ignored(client_class: Any) -> None:
    with pytest.raises(NotImplementedError, match="payload_store"):
        client_class(payload_store=object())


@CLIENTS
def test_making_a_client_connects_to_nothing(client_class: Any) -> None:
    """Also outside any event loop: modules make clients while they are imported."""
    client = client_class(
        host_address="localhost:1", resiliency_options=GrpcClientResiliencyOptions()
    )

    assert client.emit_trace_spans
    assert client.default_version is None


def test_importing_the_client_loads_neither_grpc_nor_messages_nor_the_worker() -> None:
    ours = ["durabletask.worker", "durabletask.task", "durabletask.core.machine"]
    heavy = ["asyncio", "ssl", "grpc", "betterproto2", *ours]
    program = f"import sys, durabletask.client; print([m for m in {heavy} if m in sys.modules])"

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "[]"


@pytest.mark.parametrize("kind", [TaskHubGrpcClient, AsyncTaskHubGrpcClient])
def test_a_client_says_the_module_that_users_import_it_from(kind: type) -> None:
    assert kind.__module__ == "durabletask.client"
