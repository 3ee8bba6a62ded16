"""A sidecar on a SQLite file, a worker and a client, each scenario in several ways.

Warm and replayed from nothing, both over gRPC and in process, and warm in Dapr's dialect, unless
the module's `WAYS` leave one out. The sidecar has the module's `LIMITS`, if it names any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationState, TaskHubGrpcClient
from durabletask.sidecar import Limits, Sidecar
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Against hangs only: far beyond what any scenario needs.
PATIENCE = 30

_DAPRS = "warm in Dapr's dialect"
_WAYS = ("warm", "replayed", _DAPRS)
_IN_PROCESS = " in process"
# What is replayed does not depend on the way it came, and is tried in process each time.
_SLOW = ("replayed",)


@dataclass(frozen=True, slots=True)
class Harness:
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "harness" in metafunc.fixturenames:
        ways = getattr(metafunc.module, "WAYS", _WAYS)
        if not metafunc.definition.get_closest_marker("over_grpc"):
            # Dapr's dialect is spoken over gRPC only.
            ways += tuple(way + _IN_PROCESS for way in ways if way != _DAPRS)
        metafunc.parametrize("harness", [_marked(way) for way in ways], indirect=True)


def _marked(way: str) -> Any:
    return pytest.param(way, marks=[pytest.mark.slow] if way in _SLOW else [], id=way)


@pytest.fixture
def harness(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Harness]:
    is_in_process = request.param.endswith(_IN_PROCESS)
    monkeypatch.setenv("DURABLETASK_IN_PROCESS", "1" if is_in_process else "0")
    sessions = 0 if request.param.startswith("replayed") else 1000
    dialect = "dapr" if request.param == _DAPRS else "taskhub"
    limits = getattr(request.module, "LIMITS", Limits())
    port = None if is_in_process else 0
    with Sidecar(tmp_path / "tasks.db", port=port, limits=limits) as address:

        def new_worker() -> TaskHubGrpcWorker:
            return TaskHubGrpcWorker(
                host_address=address, max_cached_orchestrations=sessions, dialect=dialect
            )

        with (
            new_worker() as worker,
            TaskHubGrpcClient(host_address=address, dialect=dialect) as client,
        ):
            yield Harness(address, worker, client, new_worker)
