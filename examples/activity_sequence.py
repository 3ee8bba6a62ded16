"""Function chaining: three activities, each after the one before."""

from collections.abc import Generator
from typing import Any

from durabletask import client, task, worker


def hello(ctx: task.ActivityContext, name: str) -> str:
    """Greet one city."""
    return f"Hello {name}!"


def sequence(ctx: task.OrchestrationContext) -> Generator[task.Task[Any], Any, list[str]]:
    """Greet three cities, one after the other."""
    tokyo: str = yield ctx.call_activity(hello, input="Tokyo")
    seattle: str = yield ctx.call_activity(hello, input="Seattle")
    london: str = yield ctx.call_activity(hello, input="London")
    return [tokyo, seattle, london]


def main() -> None:
    with worker.TaskHubGrpcWorker() as host, client.TaskHubGrpcClient() as hub:
        host.add_orchestrator(sequence)
        host.add_activity(hello)
        host.start()

        instance_id = hub.schedule_new_orchestration(sequence)
        state = hub.wait_for_orchestration_completion(instance_id, timeout=30)

        assert state is not None
        state.raise_if_failed()
        print(f"Orchestration completed! Result: {state.serialized_output}")


if __name__ == "__main__":
    main()
