"""Two workers are killed in turn, at random, while orchestrations share entities.

Every orchestration moves one coin between two accounts, which it has locked: it reads both
balances and writes both, so that only locks keep the sum. On the way it retries an activity,
sleeps, and has a child. The workers run in processes of their own: this file, run as a program.
"""

from __future__ import annotations

import json
import queue
import random
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId
from durabletask.sidecar import Sidecar
from durabletask.worker import TaskHubGrpcWorker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ACCOUNTS = 4
TRANSFERS = 24
KILLS = 10
PATIENCE = 60
DONE = "done"

# Long enough for the timer to be stored and to fire by the sidecar's clock.
NAP = timedelta(milliseconds=20)
RETRY = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=20), max_number_of_attempts=20)


def account(ctx: Any, value: int | None) -> int:
    balance: int = ctx.get_state(int, 0)
    if ctx.operation == "set":
        ctx.set_state(value)
    return balance


def transfer(ctx: Any, move: dict[str, Any]) -> Any:
    source, target = (EntityInstanceId("account", name) for name in move["accounts"])
    fee = yield ctx.call_activity("approve", input=move["number"], retry_policy=RETRY)
    with (yield ctx.lock_entities([source, target])):
        has = yield ctx.call_entity(source, "get")
        had = yield ctx.call_entity(target, "get")
        yield ctx.create_timer(NAP)
        yield ctx.call_entity(source, "set", has - 1)
        yield ctx.call_entity(target, "set", had + 1)
    receipt = yield ctx.call_sub_orchestrator("receipt", input=move["number"])
    return [fee, receipt]


def receipt(ctx: Any, number: int) -> Any:
    printed = yield ctx.call_activity("print", input=number)
    return f"receipt {printed}"


def host(address: str) -> None:
    """Be a worker that says on stdout which activity it begins."""
    refused: set[int] = set()

    def approve(_ctx: Any, number: int) -> int:
        print(f"approve {number}", flush=True)
        # Once in the life of each worker, so that many calls need a second attempt.
        if number % 2 and number not in refused:
            refused.add(number)
            raise ValueError(f"not yet: {number}")
        return number

    def print_receipt(_ctx: Any, number: int) -> int:
        print(f"print {number}", flush=True)
        return number

    worker = TaskHubGrpcWorker(host_address=address)
    worker.add_entity(account)
    worker.add_orchestrator(transfer)
    worker.add_orchestrator(receipt)
    worker.add_activity(approve)
    print_receipt.__name__ = "print"
    worker.add_activity(print_receipt)
    worker.start()
    threading.Event().wait()


@contextmanager
def hosting(address: str, lines: queue.Queue[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, __file__, address], stdout=subprocess.PIPE, text=True
    )
    reader = threading.Thread(target=_forward, args=(process, lines))
    reader.start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        reader.join()


def _forward(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)


def keep_killing(address: str, lines: queue.Queue[str], chance: random.Random) -> int:
    """Kill one worker and then the other until all is done; returns how many died."""
    kills = 0
    with ExitStack() as workers:
        both = [workers.enter_context(ExitStack()) for _ in range(2)]
        for each in both:
            each.enter_context(hosting(address, lines))
        while True:
            for _ in range(chance.randint(1, 6)):
                if lines.get(timeout=PATIENCE) == DONE:
                    return kills
            if kills < KILLS:
                victim = both[kills % 2]
                victim.close()
                victim.enter_context(hosting(address, lines))
                kills += 1


def moves(chance: random.Random) -> list[dict[str, Any]]:
    names = [f"a{number}" for number in range(ACCOUNTS)]
    return [{"number": number, "accounts": chance.sample(names, 2)} for number in range(TRANSFERS)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_workers_lose_nothing_leave_no_lock_and_repeat_no_result(
    tmp_path: Path, seed: int
) -> None:
    # Here, because the workers run this file without the repository's root on their path.
    from tests.load.histories import faults_in

    chance = random.Random(seed)
    lines: queue.Queue[str] = queue.Queue()
    planned = moves(chance)
    with (
        Sidecar(tmp_path / "tasks.db") as address,
        TaskHubGrpcClient(host_address=address) as client,
    ):
        ids = [client.schedule_new_orchestration(transfer, input=move) for move in planned]
        waiting = threading.Thread(target=_wait_for_all, args=(client, ids, lines))
        waiting.start()
        kills = keep_killing(address, lines, chance)
        waiting.join()

        states = [client.get_orchestration_state(instance_id) for instance_id in ids]
        entities = {each.id.key: each for each in client.get_all_entities()}
        histories = {each: client.get_orchestration_history(each) for each in ids}

    assert kills == KILLS
    for number, state in enumerate(states):
        assert state is not None
        assert state.runtime_status == OrchestrationStatus.COMPLETED, state.failure_details
        assert json.loads(state.serialized_output or "") == [number, f"receipt {number}"]
    assert {key: int(each.get_state() or 0) for key, each in entities.items()} == expected(planned)
    assert [key for key, each in entities.items() if each.get_locked_by() is not None] == []
    assert [key for key, each in entities.items() if each.backlog_queue_size] == []
    for instance_id, events in histories.items():
        assert list(faults_in(instance_id, events, has_ended=True)) == []


def _wait_for_all(client: TaskHubGrpcClient, ids: Sequence[str], lines: queue.Queue[str]) -> None:
    for instance_id in ids:
        client.wait_for_orchestration_completion(instance_id, timeout=2 * PATIENCE)
    lines.put(DONE)


def expected(planned: Sequence[dict[str, Any]]) -> dict[str, int]:
    balances: Counter[str] = Counter()
    for move in planned:
        source, target = move["accounts"]
        balances[source] -= 1
        balances[target] += 1
    return dict(balances)


if __name__ == "__main__":
    host(sys.argv[1])
