"""What a scenario is, and what it stands on: a backend, a client, workers, and an open log.

Every scenario has a task hub of its own, and registers only what it needs, so that many can
run at once and none sees another's work.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Callable

# Against hangs only: far beyond what any scenario needs.
PATIENCE = 30

# What differs from run to run in a log message, and tells nothing.
_VARIABLE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|\d+")


class WarningLog(logging.Handler):
    """Remembers every warning and error it hears, without ids and numbers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.add(f"{record.levelname}: {_VARIABLE.sub('#', record.getMessage())}")


@dataclass
class Harness:
    """A scenario's own corner of a backend."""

    address: str
    hub: str
    log: WarningLog = field(default_factory=WarningLog)
    _exits: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._logger = logging.getLogger(f"scenario.{self.hub}")
        self._logger.addHandler(self.log)
        self._logger.propagate = False
        self.client = TaskHubGrpcClient(**self.connection())
        self._exits.callback(self.client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def connection(self) -> dict[str, Any]:
        """The arguments of any client or worker on this harness."""
        hub = [("taskhub", self.hub)]
        return {"host_address": self.address, "metadata": hub, "logger": self._logger}

    def listen(self, logger: str) -> None:
        """Hear this logger too, for the SDK's extensions have loggers of their own."""
        logging.getLogger(logger).addHandler(self.log)
        self._exits.callback(logging.getLogger(logger).removeHandler, self.log)

    def worker(
        self, *orchestrators: Any, activities: Any = (), entities: Any = (), **options: Any
    ) -> TaskHubGrpcWorker:
        """A worker with these functions that is not started yet, and stopped at the end."""
        worker = TaskHubGrpcWorker(**self.connection(), **options)
        for orchestrator in orchestrators:
            worker.add_orchestrator(orchestrator)
        for activity in activities:
            worker.add_activity(activity)
        for entity in entities:
            worker.add_entity(entity)
        self._exits.callback(worker.stop)
        return worker

    def host(self, *orchestrators: Any, **functions: Any) -> TaskHubGrpcWorker:
        """A worker with these functions that runs."""
        worker = self.worker(*orchestrators, **functions)
        worker.start()
        return worker

    def start(self, orchestrator: Any, **options: Any) -> str:
        return self.client.schedule_new_orchestration(orchestrator, **options)

    def wait(self, instance_id: str) -> OrchestrationState:
        state = self.client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE)
        assert state is not None, f"{instance_id} does not exist"
        return state

    def run(self, orchestrator: Any, **options: Any) -> OrchestrationState:
        return self.wait(self.start(orchestrator, **options))

    def result(self, orchestrator: Any, **options: Any) -> Any:
        """What the orchestration returns; fails if it does not complete."""
        state = self.run(orchestrator, **options)
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state
        return state.get_output()

    def state(self, instance_id: str) -> OrchestrationState:
        state = self.client.get_orchestration_state(instance_id)
        assert state is not None, f"{instance_id} does not exist"
        return state

    def status(self, instance_id: str) -> OrchestrationStatus:
        return self.state(instance_id).runtime_status

    def reaches(self, instance_id: str, status: OrchestrationStatus) -> None:
        """Wait until the instance has this status."""
        until(lambda: self.status(instance_id) is status)


def until(is_so: Callable[[], Any]) -> Any:
    """Wait until it is so, which the API has no call for; returns what was true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := is_so():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not so in {PATIENCE} seconds: {is_so}")


@dataclass(frozen=True)
class Scenario:
    """A claim about a backend. `official_fails_by`: why the SDK's own does not fulfil it."""

    play: Callable[[Harness], None]
    official_fails_by: str | None = None

    @property
    def name(self) -> str:
        return self.play.__name__


SCENARIOS: dict[str, Scenario] = {}


def scenario(official_fails_by: str | None = None) -> Callable[[Any], Any]:
    """Tell the function's name as a claim: it raises when the claim is not true."""

    def tell(play: Callable[[Harness], None]) -> Callable[[Harness], None]:
        told = Scenario(play, official_fails_by)
        assert told.name not in SCENARIOS, f"{told.name} is told twice"
        SCENARIOS[told.name] = told
        return play

    return tell
