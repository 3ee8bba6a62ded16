"""The chain of `tools/bench/chain.py` for the official SDK; runs inside the peer's environment."""

import json
import socket
import sys
import time

from durabletask import client, task, worker
from durabletask.testing import create_test_backend


def add_one(_ctx: task.ActivityContext, number: int) -> int:
    return number + 1


def chain(ctx: task.OrchestrationContext, length: int):
    number = 0
    for _ in range(length):
        number = yield ctx.call_activity(add_one, input=number)
    return number


def timed(hub: client.TaskHubGrpcClient, length: int) -> float:
    started = time.perf_counter()
    instance_id = hub.schedule_new_orchestration(chain, input=length)
    state = hub.wait_for_orchestration_completion(instance_id, timeout=300)
    assert state is not None
    assert state.serialized_output == str(length)
    return time.perf_counter() - started


def main() -> None:
    # Its backend cannot pick a port itself.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    backend = create_test_backend(port=port)
    host = worker.TaskHubGrpcWorker(host_address=f"localhost:{port}")
    host.add_orchestrator(chain)
    host.add_activity(add_one)
    host.start()
    hub = client.TaskHubGrpcClient(host_address=f"localhost:{port}")
    timed(hub, 10)
    print(json.dumps([timed(hub, length) / length for length in map(int, sys.argv[1:])]))
    host.stop()
    backend.stop()


if __name__ == "__main__":
    main()
