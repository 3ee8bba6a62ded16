"""An orchestration on a sidecar that is reached in process only: gRPC is never imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from durabletask.client import TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Generator

    from durabletask import task


def greet(_ctx: task.ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def greeting(ctx: task.OrchestrationContext, name: str) -> Generator[Any, Any, str]:
    text = yield ctx.call_activity(greet, input=name)
    return text


def main() -> None:
    with (
        Sidecar(port=None) as address,
        TaskHubGrpcWorker(host_address=address) as worker,
        TaskHubGrpcClient(host_address=address) as client,
    ):
        worker.add_orchestrator(greeting)
        worker.add_activity(greet)
        worker.start()
        instance_id = client.schedule_new_orchestration(greeting, input="Ada")
        state = client.wait_for_orchestration_completion(instance_id, timeout=60)
        if state is None or state.serialized_output != '"Hello Ada!"':
            raise AssertionError(f"the orchestration did not complete: {state}")
    if "grpc" in sys.modules:
        raise AssertionError("grpc was imported")


if __name__ == "__main__":
    main()
