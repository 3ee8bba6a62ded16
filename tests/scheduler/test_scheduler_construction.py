"""The constructors are the official ones, and refuse an address that would expose a token."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

from durabletask.azuremanaged import client, worker
from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker
from tests.builders.scheduler import FakeAsyncCredential, FakeCredential

COMMON = (
    "host_address taskhub token_credential resource_id channel secure_channel interceptors "
    "channel_options resiliency_options"
)
OF_CLIENTS = (
    f"{COMMON} default_version payload_store data_converter log_handler log_formatter logger"
)
OF_WORKERS = (
    f"{COMMON} concurrency_options payload_store data_converter log_handler log_formatter logger "
    "exception_properties_provider"
)
REQUIRED = ["host_address", "taskhub", "token_credential"]
EMULATOR = "Endpoint=http://localhost:8080;TaskHub=default;Authentication=None"

ALL = pytest.mark.parametrize(
    "made",
    [
        client.DurableTaskSchedulerClient,
        client.AsyncDurableTaskSchedulerClient,
        worker.DurableTaskSchedulerWorker,
    ],
    ids=lambda made: made.__name__,
)


@pytest.mark.parametrize(
    ("made", "base", "arguments"),
    [
        (client.DurableTaskSchedulerClient, TaskHubGrpcClient, OF_CLIENTS),
        (client.AsyncDurableTaskSchedulerClient, AsyncTaskHubGrpcClient, OF_CLIENTS),
        (worker.DurableTaskSchedulerWorker, TaskHubGrpcWorker, OF_WORKERS),
    ],
)
def test_the_constructors_are_the_official_ones(made, base, arguments):
    parameters = inspect.signature(made).parameters.values()

    assert issubclass(made, base)
    assert [each.name for each in parameters] == arguments.split()
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters)
    assert [each.name for each in parameters if each.default is each.empty] == REQUIRED
    defaults = {each.name: each.default for each in parameters if each.name not in REQUIRED}
    assert defaults.pop("secure_channel") is True
    assert set(defaults.values()) == {None}


@ALL
def test_an_empty_hub_is_refused(made):
    with pytest.raises(ValueError, match="taskhub"):
        made(host_address="localhost:8080", taskhub="", token_credential=None)


@ALL
def test_a_missing_address_is_not_taken_from_the_environment(made, monkeypatch):
    monkeypatch.setenv("DURABLETASK_ENDPOINT", "localhost:4001")

    with pytest.raises(ValueError, match="host_address"):
        made(host_address=" ", taskhub="hub", token_credential=None)


@ALL
@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("http://a.durabletask.io", {}),
        ("grpc://a.durabletask.io:80", {}),
        ("a.durabletask.io:80", {"secure_channel": False}),
        ("http://localhost.example.com", {}),
    ],
)
def test_a_token_does_not_leave_the_machine_in_plain_text(made, address, options):
    with pytest.raises(ValueError, match="https://"):
        made(host_address=address, taskhub="hub", token_credential=FakeCredential(), **options)


@ALL
@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("https://a.durabletask.io", {"secure_channel": False}),
        ("a.durabletask.io", {}),
        ("http://localhost:8080", {}),
        ("127.0.0.1:8080", {"secure_channel": False}),
    ],
)
def test_a_token_goes_over_tls_or_stays_on_this_machine(made, address, options):
    credential = FakeCredential()
    if made is client.DurableTaskSchedulerClient:
        made(host_address=address, taskhub="hub", token_credential=credential, **options).close()
    else:
        made(host_address=address, taskhub="hub", token_credential=credential, **options)

    assert credential.scopes == []


@ALL
def test_without_a_token_plain_text_is_allowed(made):
    made(host_address="http://emulator.test:8080", taskhub="hub", token_credential=None)


@ALL
def test_a_resource_without_a_name_is_refused_even_where_no_token_is_needed(made):
    with pytest.raises(ValueError, match="resource_id"):
        made(
            host_address="http://localhost:8080",
            taskhub="hub",
            token_credential=None,
            resource_id="/.default",
        )


@ALL
def test_a_connection_string_makes_a_client_or_worker(made):
    made.from_connection_string(EMULATOR, resource_id="https://x.io")


@ALL
def test_a_connection_string_cannot_send_a_token_in_plain_text_either(made):
    with pytest.raises(ValueError, match="https://"):
        made.from_connection_string(
            "Endpoint=http://a.durabletask.io;TaskHub=hub;Authentication=Environment"
        )


@pytest.mark.parametrize(
    "made", [client.DurableTaskSchedulerClient, worker.DurableTaskSchedulerWorker]
)
def test_a_credential_for_asyncio_is_refused_by_the_client_for_threads_and_the_worker(made):
    with pytest.raises(TypeError, match=r"azure\.identity"):
        made(host_address="https://a.b", taskhub="hub", token_credential=FakeAsyncCredential())


def test_timers_have_no_maximum_interval():
    made = worker.DurableTaskSchedulerWorker(
        host_address="https://a.b", taskhub="hub", token_credential=None
    )

    assert made.maximum_timer_interval is None


def test_importing_loads_neither_grpc_nor_azure_identity():
    program = (
        "import sys, durabletask.azuremanaged.client, durabletask.azuremanaged.worker;"
        "print([name for name in ('grpc', 'azure.identity', 'azure.core') if name in sys.modules])"
    )

    printed: Any = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "kind", [client.DurableTaskSchedulerClient, client.AsyncDurableTaskSchedulerClient]
)
def test_a_client_says_the_module_that_users_import_it_from(kind: type) -> None:
    assert kind.__module__ == "durabletask.azuremanaged.client"


def test_the_base_classes_can_be_imported_from_where_the_official_module_has_them() -> None:
    assert vars(client)["TaskHubGrpcClient"] is TaskHubGrpcClient
    assert vars(client)["AsyncTaskHubGrpcClient"] is AsyncTaskHubGrpcClient
    assert vars(worker)["TaskHubGrpcWorker"] is TaskHubGrpcWorker
