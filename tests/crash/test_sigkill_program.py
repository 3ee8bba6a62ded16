"""A killed program that holds sidecar, worker and client loses nothing that it was told is stored.

The program runs in a process of its own: this file. Its client and its worker reach the sidecar
without gRPC. It prints the id of every instance once its start is acknowledged, and each activity
as it begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 5
INSTANCES = 20
PATIENCE = 60


def chain(ctx: Any, instance: int) -> Any:
    done = []
    for step in range(STEPS):
        done.append((yield ctx.call_activity("work", input=[instance, step])))  # noqa: PERF401
    return done


def say(what: str, instance: int = 0, step: int = 0) -> None:
    # In one piece: a thread may be killed, or interrupted by another, between two.
    os.write(1, f"{what} {instance} {step}\n".encode())


def be_the_program(path: str) -> None:
    def work(_ctx: Any, what: list[int]) -> int:
        say("begun", *what)
        return what[1]

    with Sidecar(path, port=None) as address:
        worker = TaskHubGrpcWorker(host_address=address)
        worker.add_orchestrator(chain)
        worker.add_activity(work)
        with worker, TaskHubGrpcClient(host_address=address) as client:
            worker.start()
            for instance in range(INSTANCES):
                if client.get_orchestration_state(str(instance)) is None:
                    client.schedule_new_orchestration(
                        chain, input=instance, instance_id=str(instance)
                    )
                say("stored", instance)
            for instance in range(INSTANCES):
                client.wait_for_orchestration_completion(str(instance), timeout=PATIENCE)
    say("done")
    assert "grpc" not in sys.modules


def lines_until(path: Path, count: int) -> list[list[str]]:
    """Run the program, and kill it once it has printed so many lines."""
    environment = {**os.environ, "DURABLETASK_IN_PROCESS": "1"}
    with subprocess.Popen(
        [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        lines = []
        for line in program.stdout:
            lines.append(line.split())
            if len(lines) == count:
                program.kill()
        return lines


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 29])
def test_whenever_it_is_killed_it_goes_on_with_all_that_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "tasks.db"
    printed: list[list[str]] = []
    runs = 0

    while ["done", "0", "0"] not in printed:
        runs += 1
        printed += lines_until(path, step * runs)

    stored = {int(instance) for what, instance, _ in printed if what == "stored"}
    begun = Counter((instance, each) for what, instance, each in printed if what == "begun")
    monkeypatch.setenv("DURABLETASK_IN_PROCESS", "1")
    with Sidecar(path, port=None) as address, TaskHubGrpcClient(host_address=address) as client:
        states = [client.get_orchestration_state(str(instance)) for instance in range(INSTANCES)]
    assert stored == set(range(INSTANCES))
    assert set(begun) == {(str(i), str(s)) for i in range(INSTANCES) for s in range(STEPS)}
    # An activity begins again only if a kill interrupted it, or came before its result was stored.
    assert max(begun.values()) <= runs
    for state in states:
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.COMPLETED
        assert state.get_output() == list(range(STEPS))


if __name__ == "__main__":
    be_the_program(sys.argv[1])
