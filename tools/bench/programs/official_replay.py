"""The official worker: the turn of a chain of activities, from the bytes of its whole history.

    python -m tools.bench.programs.official_replay replay ACTIVITIES

Runs inside the peer's environment. The history is that of `our_replay.py`.
"""

import logging
import sys
from datetime import UTC, datetime

from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.serialization import JsonDataConverter
from durabletask.worker import _OrchestrationExecutor, _Registry
from tools.bench.programs.measuring import REPLAYED_AT_LEAST, Meter
from tools.bench.programs.task_hub import chain


def recording(length):
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    history = [
        helpers.new_orchestrator_started_event(begin),
        helpers.new_execution_started_event("chain", "bench", str(length)),
    ]
    for number in range(1, length + 1):
        history.append(helpers.new_task_scheduled_event(number, "add_one", str(number - 1)))
        history.append(helpers.new_orchestrator_started_event(begin))
        history.append(helpers.new_task_completed_event(number, str(number)))
    request = pb.OrchestratorRequest(
        instanceId="bench", pastEvents=history[:-2], newEvents=history[-2:]
    )
    return pb.WorkItem(orchestratorRequest=request).SerializeToString()


def replay(raw, registry, result):
    request = pb.WorkItem.FromString(raw).orchestratorRequest
    executor = _OrchestrationExecutor(registry, logging.getLogger(), JsonDataConverter())
    decided = executor.execute(request.instanceId, request.pastEvents, request.newEvents)
    (action,) = decided.actions
    if action.completeOrchestration.result.value != result:
        raise AssertionError(f"the decision is {action}, but to complete with {result} is right")
    return len(request.pastEvents) + len(request.newEvents)


def main():
    logging.disable(logging.INFO)
    length = int(sys.argv[2])
    registry = _Registry()
    registry.add_orchestrator(chain)
    raw = recording(length)
    count = replay(raw, registry, str(length))
    times = max(1, REPLAYED_AT_LEAST // count)
    meter = Meter()
    with meter.over(times * count):
        for _ in range(times):
            replay(raw, registry, str(length))
    meter.report()


if __name__ == "__main__":
    main()
