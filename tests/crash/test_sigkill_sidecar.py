"""A sidecar that is killed again and again loses nothing, repeats no step, skips none."""

from __future__ import annotations

import json
import random
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker
from tools.peers.sidecar_process import SidecarProcess

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = 40
STEPS = 20
KILLS = 10
SEED = 20
PATIENCE = 60


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


@pytest.mark.slow
@pytest.mark.parametrize("batches", ["1", "0"], ids=["batch stream", "one by one"])
def test_ten_kills_lose_nothing_and_repeat_no_acknowledged_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: str
) -> None:
    monkeypatch.setenv("DURABLETASK_BATCH_STREAM", batches)
    moments = random.Random(SEED)
    journal = Journal()

    def work(_ctx: Any, what: list[Any]) -> int:
        instance_id, step = what
        journal.note(instance_id, step)
        return int(step)

    sidecar = SidecarProcess(tmp_path / "tasks.db")
    sidecar.start()
    client = TaskHubGrpcClient(host_address=sidecar.address)
    ids = [client.schedule_new_orchestration(chain) for _ in range(CHAINS)]
    worker = TaskHubGrpcWorker(host_address=sidecar.address)
    worker.add_orchestrator(chain)
    worker.add_activity(work)
    worker.start()
    try:
        for _ in range(KILLS):
            journal.wait_for_more(moments.randint(10, 70))
            sidecar.kill()
            sidecar.start()
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
