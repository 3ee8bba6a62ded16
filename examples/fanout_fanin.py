"""Fan-out/fan-in: an unknown number of activities at once, then one result from all of them."""

import random
import time
from collections.abc import Generator
from typing import Any

from durabletask import client, task, worker


def get_work_items(ctx: task.ActivityContext) -> list[str]:
    """Find out what there is to do; the number is known only at run time."""
    count = random.randint(2, 10)
    print(f"found {count} work items")
    return [f"work item {number}" for number in range(count)]


def process_work_item(ctx: task.ActivityContext, item: str) -> int:
    """Process one work item and return its result."""
    time.sleep(random.random() / 2)
    print(f"processed {item}")
    return random.randint(0, 10)


def fan_out(ctx: task.OrchestrationContext) -> Generator[task.Task[Any], Any, dict[str, int]]:
    """Process all work items in parallel and add up the results."""
    items: list[str] = yield ctx.call_activity(get_work_items)
    results: list[int] = yield task.when_all(
        [ctx.call_activity(process_work_item, input=item) for item in items]
    )
    return {"work_items": len(items), "total": sum(results)}


def main() -> None:
    with worker.TaskHubGrpcWorker() as host, client.TaskHubGrpcClient() as hub:
        host.add_orchestrator(fan_out)
        host.add_activity(get_work_items)
        host.add_activity(process_work_item)
        host.start()

        instance_id = hub.schedule_new_orchestration(fan_out)
        state = hub.wait_for_orchestration_completion(instance_id, timeout=30)

        assert state is not None
        state.raise_if_failed()
        print(f"Orchestration completed! Result: {state.serialized_output}")


if __name__ == "__main__":
    main()
