"""Record, with our own worker and sidecar, histories that `tests/replay` replays for ever.

    python -m tests.replay.record_own [SCENARIO...]

The files in `tests/replay/histories/own/` are as `tests/replay/record_official.py` describes them.
Their orchestrators (`tests/replay/own_orchestrators.py`) use what the official SDK lacks. Do not
record them anew because a test fails: that test says that running instances would break.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.protocol import codec, dialects, messages, methods, oneofs
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

_REPLAY = Path(__file__).resolve().parent
_HISTORIES = _REPLAY / "histories" / "own"
_PATIENCE = 30
_LONGEST_TIMER = 3 * 24 * 3600.0


class Tap(grpc.GenericRpcHandler):
    """A server that passes every call on as it came, and keeps the turns that come by."""

    def __init__(self, onward: grpc.Channel) -> None:
        self._onward = onward
        self._asked: dict[str, bytes] = {}
        self._guard = threading.Lock()
        self.turns: list[tuple[bytes, bytes]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        # Without serializers gRPC hands out the bytes themselves.
        path = details.method
        if path == methods.GET_WORK_ITEMS.path:
            return grpc.unary_stream_rpc_method_handler(self._work_items)
        passed_on: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._onward.unary_unary(path)

        def answer(raw: bytes, context: grpc.ServicerContext) -> Any:
            if path == methods.COMPLETE_ORCHESTRATOR_TASK.path:
                self._keep(raw)
            return passed_on(raw, timeout=context.time_remaining())

        return grpc.unary_unary_rpc_method_handler(answer)

    def _work_items(self, raw: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        ask: grpc.UnaryStreamMultiCallable[bytes, bytes]
        ask = self._onward.unary_stream(methods.GET_WORK_ITEMS.path)
        items = ask(raw)

        def hang_up() -> None:
            items.cancel()

        context.add_callback(hang_up)
        try:
            for item in items:
                work = codec.decode(messages.WorkItem, item, dialects.TASKHUB)
                if work.orchestrator_request is not None:
                    asked = codec.encode(work.orchestrator_request, dialects.TASKHUB)
                    with self._guard:
                        self._asked[work.orchestrator_request.instance_id] = asked
                yield item
        except grpc.RpcError:
            return  # the worker has left

    def _keep(self, raw: bytes) -> None:
        answered = codec.decode(messages.OrchestratorResponse, raw, dialects.TASKHUB)
        with self._guard:
            self.turns.append((self._asked.pop(answered.instance_id), raw))


Drive = Callable[[TaskHubGrpcClient, str, Tap], None]


def just_wait(_hub: TaskHubGrpcClient, _instance: str, _tap: Tap) -> None:
    """Most scenarios need nobody from outside."""


def after_turns(count: int, event: str, *data: Any) -> Drive:
    """Raise an event for each of the data once so many turns are over."""

    def drive(hub: TaskHubGrpcClient, instance: str, tap: Tap) -> None:
        deadline = time.monotonic() + _PATIENCE
        while len(tap.turns) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{instance} did not get to turn {count}")
            time.sleep(0.02)
        for each in data:
            hub.raise_orchestration_event(instance, event, data=each)

    return drive


@dataclass(frozen=True)
class Scenario:
    orchestrator: str
    input: Any = None
    drive: Drive = just_wait


SCENARIOS = {
    "async_chain": Scenario("awaits_in_turn", [1, 2, 3]),
    "async_fan_out": Scenario("awaits_together", [4, 5, 6]),
    "without_input": Scenario("without_input"),
    "async_children": Scenario("awaits_children", [7, 8]),
    "event_in_time": Scenario("event_with_timeout", 3600, after_turns(1, "ANSWER", "yes")),
    "event_too_late": Scenario("event_with_timeout", 0.2, after_turns(3, "answer", "sorry")),
    "retries_time_out": Scenario("cleans_up", "Sue"),
    "async_continue_as_new": Scenario("starts_over", 3, after_turns(1, "Item", "a", "b", "c")),
    "race": Scenario("races", None, after_turns(1, "go", "went")),
}


@contextmanager
def tapped(address: str) -> Iterator[tuple[str, Tap]]:
    """A tap in front of the address, and its own."""
    with grpc.insecure_channel(address) as onward, ThreadPoolExecutor(16) as pool:
        tap = Tap(onward)
        server = grpc.server(pool, handlers=[tap])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", tap
        finally:
            server.stop(grace=None).wait()


def record(name: str, scenario: Scenario, code: Any) -> list[dict[str, Any]]:
    instance = f"{name}-1"
    with Sidecar() as address, tapped(address) as (before, tap):
        worker = TaskHubGrpcWorker(host_address=before)
        for orchestrator in code.ORCHESTRATORS:
            worker.add_orchestrator(orchestrator)
        for activity in code.ACTIVITIES:
            worker.add_activity(activity)
        with worker, TaskHubGrpcClient(host_address=address) as hub:
            worker.start()
            hub.schedule_new_orchestration(
                scenario.orchestrator, input=scenario.input, instance_id=instance
            )
            scenario.drive(hub, instance, tap)
            state = hub.wait_for_orchestration_completion(instance, timeout=_PATIENCE)
        if state is None or state.runtime_status is not OrchestrationStatus.COMPLETED:
            raise RuntimeError(f"{name} ended as {state}")
    return list(recordings(name, tap.turns))


def recordings(name: str, raw_turns: list[tuple[bytes, bytes]]) -> Iterator[dict[str, Any]]:
    """One for each instance, in the order they first ran."""
    by_instance: dict[str, list[dict[str, Any]]] = {}
    orchestrators: dict[str, str] = {}
    for raw_request, raw_response in raw_turns:
        request = codec.decode(messages.OrchestratorRequest, raw_request, dialects.TASKHUB)
        response = codec.decode(messages.OrchestratorResponse, raw_response, dialects.TASKHUB)
        events = [*request.past_events, *request.new_events]
        started = next(e.execution_started for e in events if e.execution_started is not None)
        orchestrators[request.instance_id] = started.name
        by_instance.setdefault(request.instance_id, []).append(
            {
                "past_events": [told(event) for event in request.past_events],
                "new_events": [told(event) for event in request.new_events],
                "actions": [told(action) for action in response.actions],
                "request": base64.b64encode(raw_request).decode(),
                "response": base64.b64encode(raw_response).decode(),
            }
        )
    for instance, turns in by_instance.items():
        suffix = instance.removeprefix(f"{name}-1").lstrip(":-")
        yield {
            "name": f"{name}.{suffix}" if suffix else name,
            "recorded_with": "our own SDK and sidecar, 0.1.0",
            "orchestrator": orchestrators[instance],
            "instance_id": instance,
            "maximum_timer_interval_seconds": _LONGEST_TIMER,
            "turns": turns,
        }


def told(message: Any) -> str:
    """One line for a reader: kind, number, and the name or the number it refers to."""
    kind = oneofs.which(message)
    body = getattr(message, kind)
    number = getattr(message, "event_id", getattr(message, "id", -1))
    references = ("name", "task_scheduled_id", "timer_id")
    referred = [str(getattr(body, each)) for each in references if hasattr(body, each)]
    return " ".join([kind, *([f"#{number}"] if number > 0 else []), *referred])


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module


def main(wanted: list[str]) -> None:
    code = load(_REPLAY / "own_orchestrators.py")
    _HISTORIES.mkdir(parents=True, exist_ok=True)
    for name in wanted or SCENARIOS:
        for recording in record(name, SCENARIOS[name], code):
            file = _HISTORIES / f"{recording['name']}.json"
            file.write_text(json.dumps(recording, indent=1) + "\n")
            print(f"{file.name}: {len(recording['turns'])} turns")


if __name__ == "__main__":
    main(sys.argv[1:])
