"""The workloads for `TaskHubGrpcWorker` and `TaskHubGrpcClient`, ours and the official ones.

    python -m tools.bench.programs.task_hub WORKLOAD SIZE --address ADDRESS [--engine PID]
    python -m tools.bench.programs.task_hub WORKLOAD SIZE --sidecar FILE [--synchronous full]

Both SDKs run this very file, each in its own environment, so that nothing differs but they. With
`--sidecar` the engine is our sidecar in this process. Every workload checks its result.
"""

from __future__ import annotations

import argparse
import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId
from durabletask.worker import TaskHubGrpcWorker
from tools.bench.programs.measuring import Meter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from durabletask.entities import EntityContext

_WARM_UP = 10
_STEPS = 3
# A short chain is repeated: it is over before a clock tells much.
_LEAST_STEPS = 100
_PATIENCE = 600


def add_one(_ctx: task.ActivityContext, number: int) -> int:
    return number + 1


def chain(ctx: task.OrchestrationContext, length: int) -> Generator[Any, Any, int]:
    number = 0
    for _ in range(length):
        number = yield ctx.call_activity(add_one, input=number)
    return number


def fan(ctx: task.OrchestrationContext, width: int) -> Generator[Any, Any, int]:
    calls = [ctx.call_activity(add_one, input=number) for number in range(width)]
    results = yield task.when_all(calls)
    return sum(results)


def nap(ctx: task.OrchestrationContext, seconds: int) -> Generator[Any, Any, float]:
    """How late it was woken, in seconds: the code after a timer runs once only, if none fails."""
    due = ctx.current_utc_datetime.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    yield ctx.create_timer(timedelta(seconds=seconds))
    return (datetime.now(UTC) - due).total_seconds()


def tally(ctx: task.OrchestrationContext, count: int) -> Generator[Any, Any, int]:
    total = 0
    for _ in range(count):
        total += yield ctx.wait_for_external_event("tick")
    return total


def counter(ctx: EntityContext, amount: int | None) -> int:
    total = ctx.get_state(int, 0) + (amount or 0)
    ctx.set_state(total)
    return total


def read_counter(ctx: task.OrchestrationContext, key: str) -> Generator[Any, Any, int]:
    total = yield ctx.call_entity(EntityInstanceId("counter", key), "read")
    return total


class Load:
    """What one synchronous client does to an engine, measured by `meter`."""

    def __init__(self, client: TaskHubGrpcClient, meter: Meter, starters: int) -> None:
        self._client = client
        self._meter = meter
        self._starters = starters

    def warm_up(self) -> None:
        """Imports and first connections are not what is measured."""
        self._expect(_WARM_UP, chain, _WARM_UP)

    def chain(self, length: int) -> None:
        times = max(1, _LEAST_STEPS // length)
        with self._meter.over(times * length):
            for _ in range(times):
                self._expect(length, chain, length)

    def fan(self, width: int) -> None:
        with self._meter.over(width):
            self._expect(width * (width + 1) // 2, fan, width)

    def throughput(self, count: int) -> None:
        with self._meter.over(count):
            for instance_id in self._start_all(chain, _STEPS, count):
                self._ended(instance_id, _STEPS)

    def latency(self, count: int) -> None:
        with self._meter.over(count):
            for _ in range(count):
                began = time.perf_counter()
                self._expect(1, chain, 1)
                self._meter.samples.append(time.perf_counter() - began)

    def timers(self, count: int) -> None:
        with self._meter.over(count):
            for instance_id in self._start_all(nap, 1, count):
                self._meter.samples.append(float(self._output(instance_id)))

    def events(self, count: int) -> None:
        instance_id = self._client.schedule_new_orchestration(tally, input=count)
        self._client.wait_for_orchestration_start(instance_id, timeout=_PATIENCE)
        with self._meter.over(count):
            for _ in range(count):
                self._client.raise_orchestration_event(instance_id, "tick", data=1)
            self._ended(instance_id, count)

    def entity(self, count: int) -> None:
        with self._meter.over(count):
            for _ in range(count):
                self._client.signal_entity(EntityInstanceId("counter", "bench"), "add", 1)
            # The entity takes its operations in order, so this one is its last.
            self._expect(count, read_counter, "bench")

    def idle(self, count: int) -> None:
        """The samples are bytes for each: in this process, and in the engine's."""
        gc.collect()
        before = self._meter.resident_bytes()
        with self._meter.over(count):
            for instance_id in self._start_all(tally, 1, count):
                self._client.wait_for_orchestration_start(instance_id, timeout=_PATIENCE)
        gc.collect()
        after = self._meter.resident_bytes()
        self._meter.samples += [
            (now - then) / count for now, then in zip(after, before, strict=True)
        ]

    def _start_all(self, orchestrator: Any, argument: int, count: int) -> list[str]:
        def start(_number: int) -> str:
            return self._client.schedule_new_orchestration(orchestrator, input=argument)

        with ThreadPoolExecutor(self._starters) as pool:
            return list(pool.map(start, range(count)))

    def _expect(self, result: int, orchestrator: Any, argument: int | str) -> None:
        self._ended(self._client.schedule_new_orchestration(orchestrator, input=argument), result)

    def _ended(self, instance_id: str, result: int) -> None:
        output = self._output(instance_id)
        if output != str(result):
            raise AssertionError(f"the result is {output}, but {result} is right")

    def _output(self, instance_id: str) -> str:
        state = self._client.wait_for_orchestration_completion(instance_id, timeout=_PATIENCE)
        if state is None or state.runtime_status is not OrchestrationStatus.COMPLETED:
            raise AssertionError(f"the orchestration did not complete: {state}")
        return str(state.serialized_output)


def run(address: str, arguments: argparse.Namespace) -> None:
    meter = Meter(arguments.engine)
    with TaskHubGrpcWorker(host_address=address) as worker:
        for orchestrator in (chain, fan, nap, tally, read_counter):
            worker.add_orchestrator(orchestrator)
        worker.add_activity(add_one)
        worker.add_entity(counter)
        worker.start()
        with TaskHubGrpcClient(host_address=address) as client:
            load = Load(client, meter, arguments.starters)
            load.warm_up()
            getattr(load, arguments.workload)(arguments.size)
        meter.report()


@contextmanager
def engine(arguments: argparse.Namespace) -> Iterator[str]:
    """The address of the engine, which is here only if it is asked for."""
    if arguments.sidecar is None:
        yield arguments.address
        return
    from durabletask.sidecar import Sidecar
    from tools.bench.programs import slow_commits

    commits = slow_commits.install(arguments.flush_seconds) if arguments.flush_seconds else None
    with Sidecar(arguments.sidecar, synchronous=arguments.synchronous) as address:
        yield address
    if commits is not None and not commits.count:
        raise AssertionError("no commit was slow: the sidecar commits in another way now")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workload")
    parser.add_argument("size", type=int)
    parser.add_argument("--address", help="where the engine listens")
    parser.add_argument("--engine", type=int, help="the number of its process")
    parser.add_argument("--sidecar", help="run our sidecar here, on this file")
    parser.add_argument("--synchronous", default="full", help="of that sidecar")
    parser.add_argument("--flush-seconds", type=float, help="added to each of its commits")
    parser.add_argument("--starters", type=int, default=8, help="threads that start orchestrations")
    arguments = parser.parse_args()
    # A line for each call would measure the terminal.
    logging.disable(logging.INFO)
    with engine(arguments) as address:
        run(address, arguments)


if __name__ == "__main__":
    main()
