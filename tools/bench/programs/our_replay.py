"""Our core: the turn of a chain of activities, from the bytes of its whole history to the decision.

python -m tools.bench.programs.our_replay replay ACTIVITIES
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from durabletask.core.orchestration import decide
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.protocol import codec, events, messages
from tools.bench.programs.measuring import REPLAYED_AT_LEAST, Meter
from tools.bench.programs.task_hub import chain


def recording(length: int) -> bytes:
    """An orchestrator's work item: all activities but the last are history, the last is new."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    history = [
        events.orchestrator_started(begin),
        events.execution_started(
            "chain", str(length), instance_id="bench", execution_id="1", at=begin
        ),
    ]
    for number in range(1, length + 1):
        history.append(events.task_scheduled(number, "add_one", str(number - 1), at=begin))
        history.append(events.orchestrator_started(begin))
        history.append(events.task_completed(number, str(number), at=begin))
    request = messages.OrchestratorRequest(
        instance_id="bench", execution_id="1", past_events=history[:-2], new_events=history[-2:]
    )
    return codec.encode(messages.WorkItem(orchestrator_request=request))


def replay(raw: bytes, registry: Registry, result: str) -> int:
    """Decide, check the decision, and return the number of events."""
    request = codec.decode(messages.WorkItem, raw).orchestrator_request
    assert request is not None
    (action,) = decide(request, registry, Settings()).actions
    completion = action.complete_orchestration
    if completion is None or completion.result != result:
        raise AssertionError(f"the decision is {action}, but to complete with {result} is right")
    return len(request.past_events) + len(request.new_events)


def main() -> None:
    length = int(sys.argv[2])
    registry = Registry()
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
