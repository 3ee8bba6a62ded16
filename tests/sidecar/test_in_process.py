"""Clients and workers in the sidecar's own process reach it without gRPC."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from durabletask.client import TaskHubGrpcClient
from durabletask.protocol import in_process
from durabletask.sidecar import Security, Sidecar
from durabletask.sidecar.network.grpc_server import GrpcServer
from durabletask.transport.errors import SidecarUnavailableError
from tests.builders.security import Authority

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("_in_process")


@pytest.fixture
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURABLETASK_IN_PROCESS", raising=False)


_WHOLE_PROGRAM = """
import sys
from durabletask.client import TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

def plus_one(_, number):
    return number + 1

def chain(ctx, number):
    number = yield ctx.call_activity(plus_one, input=number)
    return number

with Sidecar(sys.argv[1], port=None) as address:
    assert address.startswith("in-process:"), address
    with TaskHubGrpcWorker(host_address=address) as worker, TaskHubGrpcClient(host_address=address) as client:
        worker.add_orchestrator(chain)
        worker.add_activity(plus_one)
        worker.start()
        started = client.schedule_new_orchestration(chain, input=1)
        state = client.wait_for_orchestration_completion(started, timeout=60)
        assert state.serialized_output == "2", state
print("grpc" in sys.modules)
"""


def test_a_program_whose_sidecar_has_no_port_never_imports_grpc(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DURABLETASK_IN_PROCESS"}
    done = subprocess.run(
        [sys.executable, "-c", _WHOLE_PROGRAM, str(tmp_path / "tasks.db")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_every_name_of_the_loopback_interface_leads_to_the_sidecar(host: str) -> None:
    with Sidecar() as address:
        port = address.rpartition(":")[2]

        assert in_process.find(f"{host}:{port}") is not None


def test_a_sidecar_of_all_interfaces_is_found_as_localhost() -> None:
    with Sidecar(host="0.0.0.0") as address:
        port = address.rpartition(":")[2]

        assert in_process.find(f"localhost:{port}") is not None

    assert in_process.find(f"localhost:{port}") is None


def test_a_sidecar_that_cannot_serve_its_port_is_not_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_self: object) -> None:
        raise OSError("cannot serve")

    monkeypatch.setattr(GrpcServer, "start", fail)
    registered: list[str] = []
    register = in_process.register

    def note(address: str, engine: in_process.InProcessEngine) -> None:
        registered.append(address)
        register(address, engine)

    monkeypatch.setattr(in_process, "register", note)

    with pytest.raises(OSError, match="cannot serve"):
        Sidecar().start()

    [address] = registered
    assert in_process.find(address) is None


def test_a_sidecar_with_certificates_is_reached_over_grpc(tmp_path: Path) -> None:
    security = Security(*Authority(tmp_path).certify())
    with Sidecar(security=security) as address:
        assert in_process.find(address) is None


def test_a_sidecar_is_listed_only_while_it_runs() -> None:
    with Sidecar(port=None) as address:
        assert in_process.find(address) is not None

    assert in_process.find(address) is None


def test_the_address_of_a_sidecar_that_has_stopped_is_explained() -> None:
    with Sidecar(port=None) as address:
        pass

    client = TaskHubGrpcClient(host_address=address)

    with client, pytest.raises(SidecarUnavailableError, match=r"Sidecar\(port=None\)"):
        client.get_orchestration_state("any")


def test_certificates_need_a_port(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give it a port"):
        Sidecar(port=None, security=Security(tmp_path / "cert", tmp_path / "key"))
