"""Run orchestrators with the official SDK and print what its worker was asked and answered.

Runs inside the peer's environment, where nothing of ours is installed:

    record.py ORCHESTRATORS.py

The official in-memory backend is watched where it meets gRPC, so the messages are exactly
those that went over the wire. The output is JSON; `tests/replay/record_official.py` documents it.
"""

# Checked against the wrong packages here: the peer's are not installed beside ours.
# mypy: ignore-errors

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing import InMemoryOrchestrationBackend
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from types import ModuleType

    from durabletask import task

PATIENCE = 30


class WatchedBackend(InMemoryOrchestrationBackend):
    """Keeps every orchestrator request it sends with the response it gets for it."""

    def __init__(self, port: int) -> None:
        super().__init__(port=port)
        self.turns: list[tuple[pb.OrchestratorRequest, pb.OrchestratorResponse]] = []
        self._asked: dict[str, pb.OrchestratorRequest] = {}
        self._guard = threading.Lock()

    def GetWorkItems(self, request: Any, context: Any) -> Iterator[pb.WorkItem]:  # noqa: N802
        for item in super().GetWorkItems(request, context):
            if item.HasField("orchestratorRequest"):
                asked = pb.OrchestratorRequest()
                asked.CopyFrom(item.orchestratorRequest)
                with self._guard:
                    self._asked[asked.instanceId] = asked
            yield item

    def CompleteOrchestratorTask(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._guard:
            self.turns.append((self._asked.pop(request.instanceId), request))
        return super().CompleteOrchestratorTask(request, context)


Drive = Callable[[TaskHubGrpcClient, str], None]


def just_wait(_hub: TaskHubGrpcClient, _instance: str) -> None:
    """Most scenarios need nobody from outside."""


@dataclass(frozen=True)
class Scenario:
    """One recording: what runs, and what is done to it meanwhile."""

    orchestrator: str
    input: Any = None
    drive: Drive = just_wait
    longest_timer: timedelta = timedelta(days=3)
    ends: OrchestrationStatus = OrchestrationStatus.COMPLETED
    version: str | None = None
    # Instance id and orchestrator of what has to be running already.
    beside: dict[str, str] = field(default_factory=dict)


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("the scenario did not get where it should")
        time.sleep(0.02)


def state_of(hub: TaskHubGrpcClient, instance: str) -> OrchestrationStatus:
    state = hub.get_orchestration_state(instance)
    assert state is not None
    return state.runtime_status


def started(hub: TaskHubGrpcClient, instance: str) -> None:
    hub.wait_for_orchestration_start(instance, timeout=PATIENCE)


def history_has(hub: TaskHubGrpcClient, instance: str, event: str, count: int = 1) -> None:
    def met() -> bool:
        events = hub.get_orchestration_history(instance)
        return sum(type(each).__name__ == event for each in events) >= count

    until(met)


def approve(hub: TaskHubGrpcClient, instance: str) -> None:
    history_has(hub, instance, "TimerCreatedEvent")
    hub.raise_orchestration_event(instance, "approval", data="boss")


def send_items_then_go(hub: TaskHubGrpcClient, instance: str) -> None:
    started(hub, instance)
    for number, name in enumerate(["ITEM", "late", "Item"], start=1):
        hub.raise_orchestration_event(instance, name, data=number)
        history_has(hub, instance, "EventRaisedEvent", number)
    hub.raise_orchestration_event(instance, "go")
    history_has(hub, instance, "EventRaisedEvent", 4)
    hub.raise_orchestration_event(instance, "Late", data="at last")


def send_three_items(hub: TaskHubGrpcClient, instance: str) -> None:
    started(hub, instance)
    for name in ["one", "two", "three"]:
        hub.raise_orchestration_event(instance, "Item", data=name)


def send_items_one_by_one(hub: TaskHubGrpcClient, instance: str) -> None:
    started(hub, instance)
    for number in (1, 2, 3):
        hub.raise_orchestration_event(instance, "item", data=number)
        history_has(hub, instance, "EventRaisedEvent", number)


def stop_third_round(hub: TaskHubGrpcClient, instance: str) -> None:
    history_has(hub, instance, "TimerCreatedEvent", 3)
    hub.raise_orchestration_event(instance, "stop")


def suspend_and_resume(hub: TaskHubGrpcClient, instance: str) -> None:
    started(hub, instance)
    hub.suspend_orchestration(instance)
    until(lambda: state_of(hub, instance) is OrchestrationStatus.SUSPENDED)
    hub.raise_orchestration_event(instance, "first", data="while suspended")
    hub.resume_orchestration(instance)
    history_has(hub, instance, "TaskCompletedEvent")
    hub.raise_orchestration_event(instance, "third", data="while running")


def terminate(hub: TaskHubGrpcClient, instance: str) -> None:
    history_has(hub, instance, "TimerCreatedEvent")
    hub.terminate_orchestration(instance, output={"because": "the recording says so"})


COMPLETED, FAILED = OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED
SCENARIOS = {
    "chain": Scenario("chain", ["Tokyo", "Seattle", "London"]),
    "chain_of_none": Scenario("chain", []),
    "at_once": Scenario("at_once", "it"),
    "fan_out_fan_in": Scenario("fan_out_fan_in", [1, 2, 3, 4]),
    "typed_payloads": Scenario("typed_payloads", {"item": "tea", "amount": 3}),
    "event_beats_timer": Scenario("approval", 3600, approve),
    "timer_beats_event": Scenario("approval", 0.3),
    "nested_groups": Scenario("nested_groups", [5, 6]),
    "activity_retried": Scenario("activity_retried", "Ann"),
    "retries_in_parallel": Scenario("retries_in_parallel", ["Ben", "Cleo"]),
    "retries_exhausted": Scenario("retries_exhausted", "Dora"),
    "child_retried": Scenario("child_retried", "Emil"),
    "children": Scenario("parent", ["Fay", "Gus"]),
    "child_fails": Scenario("child_fails", "Hal", ends=FAILED),
    "buffered_events": Scenario("buffered_events", None, send_items_then_go),
    "continue_as_new_with_events": Scenario("countdown", 3, send_three_items),
    "continue_as_new_without_events": Scenario("start_over", 1),
    "suspend_resume": Scenario("pausable", None, suspend_and_resume),
    "terminated": Scenario("approval", 3600, terminate, ends=OrchestrationStatus.TERMINATED),
    "long_timer": Scenario("long_wait", 2.5, longest_timer=timedelta(seconds=1)),
    "custom_status": Scenario("reports_progress", ["Ida", "Jon"]),
    "activity_fails": Scenario("activity_fails", "Kim", ends=FAILED),
    "one_of_many_fails": Scenario("one_of_many_fails", ["Leo", "Mia"]),
    "orchestrator_raises": Scenario("raises", "Ned", ends=FAILED),
    "send_event": Scenario("sender", "receiver-1", beside={"receiver-1": "receiver"}),
    "deterministic_values": Scenario("deterministic_values"),
    "results_read_late": Scenario("reads_results_late", [7, 8, 9]),
    "retried_slowly": Scenario("retries_slowly", "Pia", longest_timer=timedelta(milliseconds=400)),
    "child_retries_exhausted": Scenario("child_retries_exhausted", "Quin", ends=FAILED),
    "first_failure_wins": Scenario("first_failure_wins", "Ron"),
    "loser_served_later": Scenario("loser_is_served_later", None, send_items_one_by_one),
    "status_cleared": Scenario("clears_its_status"),
    "continue_as_new_version": Scenario("upgrades_itself", 1, version="1.0"),
    "polling": Scenario("polls", None, stop_third_round),
    "versions": Scenario("tells_versions", ["3.1", None], version="2.0"),
    "leaves_work_behind": Scenario("leaves_work_behind", "Oda"),
    "entity_calls_and_signals": Scenario("calls_and_signals", "Sue"),
    "entities_locked": Scenario("transfers", 30),
    "entity_fails": Scenario("entity_fails", "Tom", ends=FAILED),
    "entities_left_locked": Scenario("forgets_to_unlock", 1),
    "entities_locked_and_started_over": Scenario("starts_over_inside", 1),
    "entities_refused": Scenario("breaks_the_rules", "Uma"),
    "entities_locked_and_terminated": Scenario(
        "waits_inside", "Vic", terminate, ends=OrchestrationStatus.TERMINATED
    ),
}


class Misbehaving:
    """Activities that fail as a recording needs it."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def activities(self) -> list[Callable[[task.ActivityContext, str], str]]:
        def fail_twice(_ctx: task.ActivityContext, name: str) -> str:
            # By input: a retried child calls it from a new history each time.
            self._calls[name] += 1
            if self._calls[name] < 3:
                raise ConnectionError(f"attempt {self._calls[name]} for {name}")
            return f"{name} at last"

        def always_fail(_ctx: task.ActivityContext, name: str) -> str:
            raise TimeoutError(f"no answer for {name}")

        def fail_with_cause(_ctx: task.ActivityContext, name: str) -> str:
            known: dict[str, str] = {}
            try:
                return known[name]
            except KeyError as missing:
                raise ValueError(f"{name} is unknown") from missing

        return [fail_twice, always_fail, fail_with_cause]


def free_port() -> int:
    # The official backend cannot pick a port itself.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(code: ModuleType, longest_timer: timedelta) -> Iterator[tuple[Any, Any]]:
    backend = WatchedBackend(free_port())
    address = backend.start()
    quiet = logging.getLogger("peer")
    quiet.setLevel(logging.CRITICAL)  # it reports its own shutdown as an error
    worker = TaskHubGrpcWorker(
        host_address=address, maximum_timer_interval=longest_timer, logger=quiet
    )
    for orchestrator in code.ORCHESTRATORS:
        worker.add_orchestrator(orchestrator)
    for activity in [*code.ACTIVITIES, *Misbehaving().activities()]:
        worker.add_activity(activity)
    for entity in code.ENTITIES:
        worker.add_entity(entity)
    worker.start()
    hub = TaskHubGrpcClient(host_address=address, logger=quiet)
    try:
        yield backend, hub
    finally:
        hub.close()
        worker.stop()
        backend.stop()


def record(name: str, scenario: Scenario, code: ModuleType) -> list[dict[str, Any]]:
    """The recordings of one scenario: its instance, then those that ran because of it."""
    instance = f"{name}-1"
    with running(code, scenario.longest_timer) as (backend, hub):
        for other, orchestrator in scenario.beside.items():
            hub.schedule_new_orchestration(orchestrator, instance_id=other)
            started(hub, other)
        hub.schedule_new_orchestration(
            scenario.orchestrator,
            input=scenario.input,
            instance_id=instance,
            version=scenario.version,
        )
        scenario.drive(hub, instance)
        state = hub.wait_for_orchestration_completion(instance, timeout=PATIENCE)
        if state is None or state.runtime_status is not scenario.ends:
            raise RuntimeError(f"{name} ended as {state and state.runtime_status}: {state}")
        for other in scenario.beside:
            hub.wait_for_orchestration_completion(other, timeout=PATIENCE)
        turns = list(backend.turns)
    # In the order they first ran, the scenario's own instance in front.
    instances = dict.fromkeys([instance, *(request.instanceId for request, _ in turns)])
    return [recording(name, scenario, turns, each) for each in instances]


def recording(
    scenario_name: str, scenario: Scenario, turns: list[Any], instance: str
) -> dict[str, Any]:
    own = [turn for turn in turns if turn[0].instanceId == instance]
    # Children are called after their parent: `<parent>:0001`, or as the parent likes.
    suffix = instance.removeprefix(f"{scenario_name}-1").lstrip(":-")
    return {
        "name": f"{scenario_name}.{suffix}" if suffix else scenario_name,
        "orchestrator": orchestrator_name(own[0][0]),
        "instance_id": instance,
        "maximum_timer_interval_seconds": scenario.longest_timer.total_seconds(),
        "turns": [as_json(request, response) for request, response in own],
    }


def orchestrator_name(request: pb.OrchestratorRequest) -> str:
    events = [*request.pastEvents, *request.newEvents]
    return next(e.executionStarted.name for e in events if e.HasField("executionStarted"))


def as_json(request: pb.OrchestratorRequest, response: pb.OrchestratorResponse) -> dict[str, Any]:
    return {
        "past_events": [told(event, "eventType") for event in request.pastEvents],
        "new_events": [told(event, "eventType") for event in request.newEvents],
        "actions": [told(action, "orchestratorActionType") for action in response.actions],
        "request": base64.b64encode(request.SerializeToString()).decode(),
        "response": base64.b64encode(response.SerializeToString()).decode(),
    }


def told(message: Any, oneof: str) -> str:
    """One line for a reader: kind, number, and the name or the number it refers to."""
    kind = message.WhichOneof(oneof)
    body = getattr(message, kind)
    number = getattr(message, "eventId", getattr(message, "id", -1))
    fields = {each.name for each in body.DESCRIPTOR.fields}
    references = [each for each in ("name", "taskScheduledId", "timerId") if each in fields]
    numbered = [f"#{number}"] if number > 0 else []
    return " ".join([kind, *numbered, *(str(getattr(body, each)) for each in references)])


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module


def main() -> None:
    code = load(Path(sys.argv[1]))
    wanted = sys.argv[2:] or list(SCENARIOS)
    recordings = [each for name in wanted for each in record(name, SCENARIOS[name], code)]
    json.dump(recordings, sys.stdout)


if __name__ == "__main__":
    main()
