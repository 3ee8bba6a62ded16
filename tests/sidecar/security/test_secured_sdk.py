"""Our own client and worker with a sidecar that requires certificates and tokens."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.sidecar import Security, Sidecar
from durabletask.transport import grpc_transport
from durabletask.transport.errors import SidecarError, SidecarUnavailableError
from durabletask.worker import TaskHubGrpcWorker
from tests.builders.security import BILLING, ORDERS, TOKENS, Authority, bearer, replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from durabletask.task import ActivityContext, OrchestrationContext

PATIENCE = 30


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secured(authority: Authority, tmp_path: Path) -> Iterator[str]:
    """The address of a sidecar that requires a certificate and a token."""
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)
    security = Security(*authority.certify(), authority.file, tokens)
    with Sidecar(tmp_path / "tasks.db", security=security) as address:
        yield address


def greet(_: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


async def greeting(ctx: OrchestrationContext, name: str) -> list[str]:
    first = await ctx.call_activity(greet, input=name)
    return [first, await ctx.call_activity(greet, input=first)]


def test_worker_and_client_run_an_orchestration_over_mutual_tls_with_a_token(
    secured: str, authority: Authority
) -> None:
    connection: dict[str, Any] = {
        "host_address": secured,
        "secure_channel": authority.trusted(authority),
        "metadata": bearer(ORDERS, "orders"),
    }
    with TaskHubGrpcWorker(**connection) as worker, TaskHubGrpcClient(**connection) as client:
        worker.add_orchestrator(greeting)
        worker.add_activity(greet)
        worker.start()
        instance_id = client.schedule_new_orchestration(greeting, input="Ada")
        state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE)

    assert state is not None
    assert state.get_output() == ["Hello Ada!", "Hello Hello Ada!!"]


def test_the_token_may_be_a_part_of_the_credentials(secured: str, authority: Authority) -> None:
    credentials = grpc.composite_channel_credentials(
        authority.trusted(authority), grpc.access_token_call_credentials(ORDERS)
    )
    with TaskHubGrpcClient(
        host_address=secured, secure_channel=credentials, metadata=[("taskhub", "orders")]
    ) as client:
        assert client.schedule_new_orchestration("greeting", instance_id="a") == "a"


async def test_the_asynchronous_client_takes_credentials_as_well(
    secured: str, authority: Authority
) -> None:
    async with AsyncTaskHubGrpcClient(
        host_address=secured,
        secure_channel=authority.trusted(authority),
        metadata=bearer(ORDERS, "orders"),
    ) as client:
        assert await client.schedule_new_orchestration("greeting", instance_id="a") == "a"


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ((("taskhub", "orders"),), "UNAUTHENTICATED"),
        (bearer(BILLING, "orders"), "PERMISSION_DENIED"),
    ],
)
def test_the_error_of_a_refused_call_says_what_is_wrong(
    secured: str, authority: Authority, metadata: Any, status: str
) -> None:
    with (
        TaskHubGrpcClient(
            host_address=secured, secure_channel=authority.trusted(authority), metadata=metadata
        ) as client,
        pytest.raises(SidecarError, match=rf"token.*\({status}\)") as raised,
    ):
        client.schedule_new_orchestration("greeting")

    assert BILLING not in str(raised.value)


@pytest.mark.parametrize("mistake", ["plain text", "no certificate", "no trust"])
def test_the_error_of_a_failed_handshake_points_to_tls(
    secured: str, authority: Authority, tmp_path: Path, mistake: str
) -> None:
    secure: dict[str, Any] = {
        "plain text": False,
        "no certificate": authority.trusted(),
        "no trust": Authority(tmp_path, "stranger").trusted(authority),
    }
    with (
        TaskHubGrpcClient(host_address=secured, secure_channel=secure[mistake]) as client,
        pytest.raises(SidecarUnavailableError, match="both sides speak TLS"),
    ):
        client.get_orchestration_state("a")


def test_a_private_authority_may_come_from_the_environment(
    authority: Authority, tmp_path: Path
) -> None:
    program = (
        "from durabletask.client import TaskHubGrpcClient\n"
        "with TaskHubGrpcClient(secure_channel=True) as client:\n"
        "    print(client.schedule_new_orchestration('greeting', instance_id='a'))\n"
    )
    with Sidecar(security=Security(*authority.certify())) as address:
        environment = {
            **os.environ,
            "DURABLETASK_ENDPOINT": address,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.file),
        }
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert (ended.stdout, ended.stderr) == ("a\n", "")


@pytest.mark.parametrize(
    "client_class", [TaskHubGrpcClient, AsyncTaskHubGrpcClient, TaskHubGrpcWorker]
)
def test_credentials_are_never_ignored_for_an_address_that_forbids_tls(
    authority: Authority, client_class: Any
) -> None:
    with pytest.raises(ValueError, match="forbids TLS"):
        client_class(host_address="http://localhost:4001", secure_channel=authority.trusted())


@pytest.mark.parametrize(
    ("address", "warns"),
    [
        ("sidecar.example:4001", True),
        ("http://sidecar.example:4001", True),
        ("https://sidecar.example:4001", False),
        ("localhost:4001", False),
        ("127.0.0.1:4001", False),
    ],
)
@pytest.mark.parametrize("key", ["authorization", "Authorization"])
def test_sending_a_token_in_plain_text_to_another_machine_is_logged(
    address: str, key: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    grpc_transport(address, metadata=[(key, f"Bearer {ORDERS}")]).close()

    assert [each.levelname for each in caplog.records] == ["WARNING"] * warns
    assert ORDERS not in caplog.text


def test_other_metadata_may_go_in_plain_text(caplog: pytest.LogCaptureFixture) -> None:
    grpc_transport("sidecar.example:4001", metadata=[("taskhub", "orders")]).close()

    assert not caplog.records
