"""Our client and worker on an engine that nothing else uses: our sidecar or durabletask-go."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker
from tests.interop import scenarios
from tests.interop.features import GO, OURS
from tools.peers import go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Against hangs only: far beyond what any claim needs.
PATIENCE = 30

ENGINES: dict[str, Callable[[Path], Any]] = {
    OURS: lambda folder: Sidecar(folder / "tasks.db"),
    GO: go.engine,
}

MARKED = [OURS, pytest.param(GO, marks=pytest.mark.peers)]
"""The same as parameters of a test: what runs on an engine of others is marked."""


@dataclass(frozen=True, slots=True)
class Harness:
    """An engine's address, a client, and a worker that is not started yet."""

    address: str
    client: TaskHubGrpcClient
    worker: TaskHubGrpcWorker
    calls: Counter[str] = field(default_factory=Counter)

    def host(self, *orchestrators: Any, activities: tuple[Any, ...] = ()) -> None:
        for orchestrator in orchestrators:
            self.worker.add_orchestrator(orchestrator)
        for activity in activities:
            self.worker.add_activity(activity)
        self.worker.start()

    def start(self, orchestrator: Any, **options: Any) -> str:
        return self.client.schedule_new_orchestration(orchestrator, **options)

    def started(self, orchestrator: Any, **options: Any) -> str:
        instance_id = self.start(orchestrator, **options)
        self.client.wait_for_orchestration_start(instance_id, timeout=PATIENCE)
        return instance_id

    def wait(self, instance_id: str) -> OrchestrationState:
        state = self.client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE)
        assert state is not None, f"{instance_id} does not exist"
        return state

    def result(self, orchestrator: Any, **options: Any) -> Any:
        """What the orchestration returns; fails if it does not complete."""
        return self.output(self.start(orchestrator, **options))

    def output(self, instance_id: str) -> Any:
        """What that instance returns; fails if it does not complete."""
        state = self.wait(instance_id)
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state
        return state.get_output()

    def status(self, instance_id: str) -> OrchestrationStatus | None:
        state = self.client.get_orchestration_state(instance_id)
        return None if state is None else state.runtime_status

    def reaches(self, instance_id: str, status: OrchestrationStatus) -> None:
        """Wait for a status, which the API has no call for."""
        _until(lambda: self.status(instance_id) is status, f"{instance_id} is {status.name}")

    def records(self, instance_id: str, kind: str, **told: Any) -> None:
        """Wait until the instance's history holds an event of that class that tells this."""

        def is_recorded() -> bool:
            history = self.client.get_orchestration_history(instance_id)
            return any(
                type(event).__name__ == kind
                and all(getattr(event, name) == value for name, value in told.items())
                for event in history
            )

        _until(is_recorded, f"the history of {instance_id} has {kind}")


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not in {PATIENCE} seconds: {what}"
        time.sleep(0.02)


@contextmanager
def harness_at(address: str, *, dialect: str | None = None) -> Iterator[Harness]:
    """A harness on the engine at this address."""
    with (
        TaskHubGrpcWorker(host_address=address, dialect=dialect) as worker,
        TaskHubGrpcClient(host_address=address, dialect=dialect) as client,
    ):
        yield Harness(address, client, worker)


@contextmanager
def harness_on(engine: str, folder: Path, *, dialect: str | None = None) -> Iterator[Harness]:
    """A harness on an engine of its own, which keeps its data in this folder."""
    with (
        scenarios.needed(),
        ENGINES[engine](folder) as address,
        harness_at(address, dialect=dialect) as harness,
    ):
        yield harness
