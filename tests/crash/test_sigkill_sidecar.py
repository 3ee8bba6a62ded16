"""A sidecar that is killed again and again loses nothing, repeats no step, skips none."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = 40
STEPS = 20
KILLS = 10
SEED = 20
PATIENCE = 60


class Process:
    """A real sidecar, which comes back to the same file and port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._port = 0
        self._start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def kill_and_restart(self) -> None:
        self.kill()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "durabletask.sidecar"),
                *("--port", str(self._port), "--db", str(self._path)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        self._port = int(found.group(1))


class Journal:
    """Which steps were begun, in their order, by instance."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = defaultdict(list)
        self._grown = threading.Condition()
        self._count = 0

    def note(self, instance_id: str, step: int) -> None:
        with self._grown:
            self.steps[instance_id].append(step)
            self._count += 1
            self._grown.notify_all()

    def wait_for_more(self, count: int) -> None:
        """Return when so many more steps have begun."""
        with self._grown:
            target = self._count + count
            assert self._grown.wait_for(lambda: self._count >= target, PATIENCE)


def chain(ctx: Any, _: Any) -> Any:
    done = []
    for step in range(1, STEPS + 1):
        done.append((yield ctx.call_activity("work", input=[ctx.instance_id, step])))  # noqa: PERF401
    return done


def test_ten_kills_lose_nothing_and_repeat_no_acknowledged_step(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    journal = Journal()

    def work(_ctx: Any, what: list[Any]) -> int:
        instance_id, step = what
        journal.note(instance_id, step)
        return int(step)

    sidecar = Process(tmp_path / "tasks.db")
    client = TaskHubGrpcClient(host_address=sidecar.address)
    ids = [client.schedule_new_orchestration(chain) for _ in range(CHAINS)]
    worker = TaskHubGrpcWorker(host_address=sidecar.address)
    worker.add_orchestrator(chain)
    worker.add_activity(work)
    worker.start()
    try:
        for _ in range(KILLS):
            journal.wait_for_more(moments.randint(10, 70))
            sidecar.kill_and_restart()
        states = [client.wait_for_orchestration_completion(i, timeout=PATIENCE) for i in ids]
    finally:
        worker.stop()
        client.close()
        sidecar.kill()

    every_step = list(range(1, STEPS + 1))
    for instance_id, state in zip(ids, states, strict=True):
        assert state is not None, f"{instance_id} is lost"
        assert state.runtime_status == OrchestrationStatus.COMPLETED
        assert json.loads(state.serialized_output or "") == every_step
        # A step that was acknowledged is never begun again, so steps only ever go forward.
        begun = journal.steps[instance_id]
        assert sorted(set(begun)) == every_step
        assert begun == sorted(begun)
