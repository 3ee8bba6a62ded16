"""Chains of 100 and 1,000 activities on SQLite: does a step cost more late than early?

Ours: worker and client in this process, the sidecar in a process of its own on a file with full
synchronisation. Peer: the official SDK with its in-memory backend, in an environment of its own
(`--no-peer` leaves it out). Both run in turn, the figures are the best of the rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durabletask.client import TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker
from tools.peers import pythons
from tools.peers.sidecar_process import sidecar

if TYPE_CHECKING:
    from collections.abc import Generator

    from durabletask.task import ActivityContext, OrchestrationContext, Task

LENGTHS = (100, 1000)
TARGET = 1.5
_PATIENCE = 300


def add_one(_ctx: ActivityContext, number: int) -> int:
    return number + 1


def chain(ctx: OrchestrationContext, length: int) -> Generator[Task[Any], Any, int]:
    number = 0
    for _ in range(length):
        number = yield ctx.call_activity(add_one, input=number)
    return number


def ours(lengths: tuple[int, ...]) -> list[float]:
    """Seconds per activity, one figure a length."""
    with tempfile.TemporaryDirectory() as folder, sidecar(Path(folder, "bench.db")) as running:
        address = running.address
        worker = TaskHubGrpcWorker(host_address=address)
        worker.add_orchestrator(chain)
        worker.add_activity(add_one)
        with worker, TaskHubGrpcClient(host_address=address) as client:
            worker.start()
            _timed(client, 10)  # imports and first connections are not what is measured
            return [_timed(client, length) / length for length in lengths]


def _timed(client: TaskHubGrpcClient, length: int) -> float:
    started = time.perf_counter()
    instance_id = client.schedule_new_orchestration(chain, input=length)
    state = client.wait_for_orchestration_completion(instance_id, timeout=_PATIENCE)
    seconds = time.perf_counter() - started
    assert state is not None
    assert state.serialized_output == str(length)
    return seconds


def theirs(lengths: tuple[int, ...]) -> list[float]:
    """The same with the official SDK on its in-memory backend."""
    script = Path(__file__).with_name("_official_chain.py")
    output = pythons.run(pythons.OFFICIAL, script, *map(str, lengths))
    return [float(seconds) for seconds in json.loads(output)]


def _best(rounds: list[list[float]]) -> list[float]:
    return [min(column) for column in zip(*rounds, strict=True)]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="hatch run bench chain", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--no-peer", action="store_true", help="leave the official SDK out")
    arguments = parser.parse_args(argv)

    mine: list[list[float]] = []
    others: list[list[float]] = []
    for number in range(1, arguments.rounds + 1):
        print(f"round {number} of {arguments.rounds} …", file=sys.stderr, flush=True)
        mine.append(ours(LENGTHS))
        if not arguments.no_peer:
            others.append(theirs(LENGTHS))

    growth = report("ours, SQLite, synchronous=FULL", _best(mine))
    if others:
        report("official SDK, in memory", _best(others))
        ratio = _best(others)[-1] / _best(mine)[-1]
        print(f"{LENGTHS[-1]} steps: {ratio:.1f} times the official SDK's activities/s")
    print(f"target: a step of {LENGTHS[-1]} costs at most {TARGET} times a step of {LENGTHS[0]}")
    return 0 if growth <= TARGET else 1


def report(who: str, per_activity: list[float]) -> float:
    """Print one side's line; returns how much dearer a step of the longest chain is."""
    growth = per_activity[-1] / per_activity[0]
    figures = "".join(
        f"  chain-{length}: {seconds * 1000:6.2f} ms/activity ({1 / seconds:5.0f}/s)"
        for length, seconds in zip(LENGTHS, per_activity, strict=True)
    )
    print(f"{who:32}{figures}  growth {growth:.2f}")
    return growth
