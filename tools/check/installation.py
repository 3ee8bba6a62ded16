"""Install single wheels into empty environments and use them against a running sidecar."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from durabletask.sidecar import Sidecar
from tools import environments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEDULE = """
from durabletask.client import TaskHubGrpcClient
with TaskHubGrpcClient(host_address={address!r}) as client:
    print(client.schedule_new_orchestration("greet", input="Tokyo", instance_id="from-wheels"))
"""

_HOST = """
from durabletask.client import TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker

def greet(ctx, name):
    return f"Hello {{name}}!"

with TaskHubGrpcWorker(host_address={address!r}) as worker:
    worker.add_orchestrator(greet)
    worker.start()
    with TaskHubGrpcClient(host_address={address!r}) as client:
        state = client.wait_for_orchestration_completion("from-wheels", timeout=20)
        print(state.serialized_output)
"""

_TEST = """
from durabletask.testing import create_test_backend
with create_test_backend(port=0) as backend:
    print(backend.address.startswith("localhost:"))
"""

_SCHEDULER = """
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

hub = "Endpoint=http://{address};TaskHub=default;Authentication=None"
with DurableTaskSchedulerWorker.from_connection_string(hub) as worker:
    worker.start()
    worker.wait_until_ready(20)
    print("ready")
"""

_NOT_WITH_THE_CLIENT = {
    "azure-identity",
    "durabletask-worker",
    "durabletask-sidecar",
    "protobuf",
}
_NOT_WITH_THE_WORKER = {"azure-identity", "durabletask-sidecar", "protobuf"}
# Other SDKs are tested with it too.
_NOT_WITH_TESTING = {"durabletask-client", "durabletask-worker", "durabletask-core", "protobuf"}


def complaints(wheels: Path, folder: Path) -> Iterator[str]:
    """What is wrong with the wheels, one line each."""
    python = environments.create(folder / "client-alone")
    environments.install(python, "durabletask-client", wheels=wheels)
    for unwanted in sorted(_NOT_WITH_THE_CLIENT & environments.distributions(python)):
        yield f"durabletask-client pulls in {unwanted}"
    with Sidecar() as address:
        yield from _expect(python, _SCHEDULE.format(address=address), "from-wheels")
        environments.install(python, "durabletask-worker", wheels=wheels)
        for unwanted in sorted(_NOT_WITH_THE_WORKER & environments.distributions(python)):
            yield f"durabletask-worker pulls in {unwanted}"
        yield from _expect(python, _HOST.format(address=address), '"Hello Tokyo!"')
        environments.install(python, "durabletask-scheduler", wheels=wheels)
        yield from _expect(python, _SCHEDULER.format(address=address), "ready")
    python = environments.create(folder / "testing-alone")
    environments.install(python, "durabletask-testing", wheels=wheels)
    for unwanted in sorted(_NOT_WITH_TESTING & environments.distributions(python)):
        yield f"durabletask-testing pulls in {unwanted}"
    yield from _expect(python, _TEST, "True")


def _expect(python: Path, program: str, output: str) -> Iterator[str]:
    result = subprocess.run(
        [python, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    if result.stdout.strip() != output:
        yield f"expected {output!r}, got {result.stdout!r}\n{result.stderr}"
