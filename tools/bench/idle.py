"""Many orchestrations that wait for an event: what they cost a sidecar that starts on them.

One file with 100,000 waiting instances and one with none. Printed: how long the sidecar takes
until it listens, how much more memory it holds than the one without instances (at the start,
and after a thousand of them were woken), and how long a raised event takes to reach the worker.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from durabletask import transport
from durabletask.protocol import messages, methods, work_items
from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import CompleteTurn, StartInstance
from durabletask.sidecar.store.sqlite import SqliteStore
from durabletask.sidecar.work.items import WorkItemSource
from tools.peers.sidecar_process import sidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tools.peers.sidecar_process import SidecarProcess

HUB = "default"
_ROOMY = 1 << 30
_BATCH = 1000
_MIB = 1024 * 1024

MOST_SECONDS = 2.0
MOST_MIB = 50.0
MOST_MS = 20.0


def fill(file: Path, count: int) -> None:
    """Make the file, with so many instances that have taken their first turn and wait."""
    numbers = itertools.count()
    now = datetime.now(UTC) - timedelta(hours=1)
    store = SqliteStore(file, synchronous="normal")
    committer = Committer(store)
    for first in range(0, count, _BATCH):
        names = [f"instance-{number}" for number in range(first, min(first + _BATCH, count))]
        _commit(committer, [(name, StartInstance("wait", '"x"')) for name in names], now, numbers)
        turns = []
        for name in names:
            prepared = WorkItemSource(committer).prepare_turn(
                HUB, name, token="", now=now, room=_ROOMY
            )
            assert prepared is not None
            turns.append((name, CompleteTurn(prepared.turn, ())))
        _commit(committer, turns, now, numbers)
    store.close()


def _commit(
    committer: Committer,
    commands: list[tuple[str, StartInstance]] | list[tuple[str, CompleteTurn]],
    now: datetime,
    numbers: itertools.count[int],
) -> None:
    submissions = [Submission(HUB, name, command) for name, command in commands]
    committer.commit(submissions, now=now, new_id=lambda: f"{next(numbers):032x}")


async def wake(running: SidecarProcess, names: list[str]) -> list[float]:
    """Seconds from each event's raise to its turn's arrival at a worker."""
    async with _connected(running.address) as link:
        stream = link.stream(
            methods.GET_WORK_ITEMS,
            messages.GetWorkItemsRequest(max_concurrent_orchestration_work_items=len(names)),
        )
        arrivals = aiter(stream)
        waiting = asyncio.ensure_future(anext(arrivals))
        latencies = []
        for name in names:
            started = time.perf_counter()
            raised = messages.RaiseEventRequest(instance_id=name, name="go")
            await link.unary(methods.RAISE_EVENT, raised, timeout=30)
            raw = await waiting
            latencies.append(time.perf_counter() - started)
            assert work_items.peek(raw).instance_id == name
            waiting = asyncio.ensure_future(anext(arrivals))
        waiting.cancel()
    return latencies


@asynccontextmanager
async def _connected(address: str) -> AsyncIterator[transport.AsyncTransport]:
    link = transport.grpc_async_transport(address)
    try:
        yield link
    finally:
        await link.close()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="hatch run bench idle", description=__doc__)
    parser.add_argument("--instances", type=int, default=100_000, help="how many wait")
    parser.add_argument("--events", type=int, default=1_000, help="how many of them are woken")
    arguments = parser.parse_args(argv)

    with tempfile.TemporaryDirectory() as folder:
        full, empty = Path(folder, "full.db"), Path(folder, "empty.db")
        print(f"filling a file with {arguments.instances} instances …", file=sys.stderr, flush=True)
        fill(full, arguments.instances)
        fill(empty, 0)
        with sidecar(empty) as running:
            without = running.resident_bytes()
        started = time.perf_counter()
        with sidecar(full) as running:
            seconds = time.perf_counter() - started
            at_start = running.resident_bytes() - without
            every = range(arguments.instances)
            chosen = random.Random(1).sample(every, min(arguments.events, len(every)))
            latencies = sorted(asyncio.run(wake(running, [f"instance-{n}" for n in chosen])))
            later = running.resident_bytes() - without
    return report(seconds, at_start / _MIB, later / _MIB, latencies)


def report(seconds: float, at_start: float, later: float, latencies: list[float]) -> int:
    p50, p99 = (1000 * latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    print(f"listens after                {seconds:7.2f} s    at most {MOST_SECONDS}")
    print(f"memory above none, start     {at_start:7.1f} MiB  at most {MOST_MIB}")
    print(f"memory above none, woken     {later:7.1f} MiB  at most {MOST_MIB}")
    print(f"raise to dispatch, p50       {p50:7.2f} ms")
    print(f"raise to dispatch, p99       {p99:7.2f} ms   at most {MOST_MS}")
    is_good = seconds <= MOST_SECONDS and max(at_start, later) <= MOST_MIB and p99 <= MOST_MS
    return 0 if is_good else 1
