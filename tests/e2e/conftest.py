"""A sidecar on a SQLite file, a worker and a client, once warm and once replayed from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationState, TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Against hangs only: far beyond what any scenario needs.
PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a test needs to host functions and to run orchestrations on them."""

    address: str
    worker: TaskHubGrpcWorker
    client: TaskHubGrpcClient
    new_worker: Callable[[], TaskHubGrpcWorker]

    def host(self, *orchestrators: Callable[..., Any], activities: tuple[Any, ...] = ()) -> None:
        """Register the functions and start the worker."""
        for orchestrator in orchestrators:
            self.worker.add_orchestrator(orchestrator)
        for activity in activities:
            self.worker.add_activity(activity)
        self.worker.start()

    def start(self, orchestrator: Callable[..., Any] | str, **options: Any) -> str:
        return self.client.schedule_new_orchestration(orchestrator, **options)

    def wait(self, instance_id: str) -> OrchestrationState:
        state = self.client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE)
        assert state is not None
        return state

    def run(self, orchestrator: Callable[..., Any] | str, **options: Any) -> OrchestrationState:
        return self.wait(self.start(orchestrator, **options))


@pytest.fixture(params=["warm", "replayed"])
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scenario]:
    sessions = 1000 if request.param == "warm" else 0
    with Sidecar(tmp_path / "tasks.db") as address:

        def new_worker() -> TaskHubGrpcWorker:
            return TaskHubGrpcWorker(host_address=address, max_cached_orchestrations=sessions)

        with new_worker() as worker, TaskHubGrpcClient(host_address=address) as client:
            yield Scenario(address, worker, client, new_worker)
