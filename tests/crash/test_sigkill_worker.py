"""A killed worker loses nothing but the activity that it was running.

The worker runs in a process of its own: this file, run as a program. It records every activity
that it begins in a journal on disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 20
PATIENCE = 30


def chain(ctx: Any, _: Any) -> Any:
    done = []
    for step in range(1, STEPS + 1):
        done.append((yield ctx.call_activity("work", input=step)))  # noqa: PERF401
    return done


def host(address: str, journal: str, hang_at: int) -> None:
    """Be the worker. In step `hang_at` it never comes back from its activity."""

    def work(_ctx: Any, step: int) -> int:
        with Path(journal).open("a") as file:
            file.write(f"{step}\n")
        print(step, flush=True)
        if step == hang_at:
            threading.Event().wait()
        return step

    worker = TaskHubGrpcWorker(host_address=address)
    worker.add_orchestrator(chain)
    worker.add_activity(work)
    worker.start()
    threading.Event().wait()


@contextmanager
def hosting(address: str, journal: Path, hang_at: int = 0) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, __file__, address, str(journal), str(hang_at)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def kill_at(process: subprocess.Popen[str], step: int) -> None:
    """Kill the worker as soon as it says that it has begun the step."""
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= step:
            break
    process.kill()
    process.wait()


def begun(journal: Path) -> list[int]:
    return [int(line) for line in journal.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 10, STEPS])
def test_only_the_activity_that_was_cut_off_is_run_again(tmp_path: Path, step: int) -> None:
    journal = tmp_path / "journal"
    with Sidecar(tmp_path / "tasks.db") as address:
        client = TaskHubGrpcClient(host_address=address)
        instance_id = client.schedule_new_orchestration(chain)

        with hosting(address, journal, hang_at=step) as process:
            kill_at(process, step)
        with hosting(address, journal):
            state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE)
        client.close()

    assert state is not None
    assert state.runtime_status == OrchestrationStatus.COMPLETED
    assert json.loads(state.serialized_output or "") == list(range(1, STEPS + 1))
    assert begun(journal) == [*range(1, step + 1), *range(step, STEPS + 1)]


@pytest.mark.slow
def test_a_worker_killed_at_any_moment_repeats_no_acknowledged_activity(tmp_path: Path) -> None:
    """That the next step has begun shows that the one before was acknowledged."""
    journal = tmp_path / "journal"
    kills = [3, 8, 13, 18]
    cut_off = []
    with Sidecar(tmp_path / "tasks.db") as address:
        client = TaskHubGrpcClient(host_address=address)
        instance_id = client.schedule_new_orchestration(chain)

        for step in kills:
            with hosting(address, journal) as process:
                kill_at(process, step)
            cut_off.append(begun(journal)[-1])
        with hosting(address, journal):
            state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE)
        client.close()

    assert state is not None
    assert json.loads(state.serialized_output or "") == list(range(1, STEPS + 1))
    runs = Counter(begun(journal))
    assert set(runs) == set(range(1, STEPS + 1))
    assert {step for step, times in runs.items() if times > 1} <= set(cut_off)


if __name__ == "__main__":
    host(sys.argv[1], sys.argv[2], int(sys.argv[3]))
