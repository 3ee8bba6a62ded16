"""Old instances that are purged beside 100 orchestrations a second: who feels it?

One file with 50,000 instances that ended 40 days ago, and a sidecar on it, in a process of its
own with full synchronisation: first without retention, then with `--retain 30` until the old
ones are gone and their space is given back, then for as long as before with nothing old. All
the time so many orchestrations are started a second, at fixed moments, and a client waits for
each. Measured is the time from that moment to the client's answer, while instances are purged
and, before and after, while none are: two measurements, for a machine may have other work.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import CompleteTurn, StartInstance
from durabletask.sidecar.store.sqlite import SqliteStore
from durabletask.sidecar.work.items import WorkItemSource
from tools.bench.steady import PAYLOAD, Load, completion, connected
from tools.peers.sidecar_process import sidecar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.peers.sidecar_process import SidecarProcess

HUB = "default"
TARGET = 2.0
_AGE = timedelta(days=40)
_RETAIN = ("--retain", "30")
_BATCH = 1000
_ROOMY = 1 << 30
_MIB = 1024 * 1024
# Imports and first connections are not what is measured.
_WARM_UP = 3.0


def fill(file: Path, count: int) -> None:
    """Make the file, with so many instances that ended long ago."""
    numbers = itertools.count()
    store = SqliteStore(file, synchronous="normal")
    committer = Committer(store)

    def commit(submissions: list[Submission]) -> None:
        now = datetime.now(UTC) - _AGE
        committer.commit(submissions, now=now, new_id=lambda: f"{next(numbers):032x}")

    for first in range(0, count, _BATCH):
        names = [f"old-{number}" for number in range(first, min(first + _BATCH, count))]
        commit([Submission(HUB, name, StartInstance("old", PAYLOAD)) for name in names])
        commit([Submission(HUB, name, _end(committer, name)) for name in names])
    store.close()


def _end(committer: Committer, name: str) -> CompleteTurn:
    now = datetime.now(UTC)
    prepared = WorkItemSource(committer).prepare_turn(HUB, name, token="", now=now, room=_ROOMY)
    assert prepared is not None
    return CompleteTurn(prepared.turn, [completion(1, PAYLOAD)])


async def measured(
    running: SidecarProcess, arguments: argparse.Namespace, *phases: Callable[[], bool]
) -> list[list[float]]:
    """Seconds that each orchestration took, phase by phase; each lasts as long as it says."""
    async with connected(running.address) as link:
        load = Load(link, arguments.rate, arguments.activities)
        await load.run(f"warm-{running.pid}", _for(_WARM_UP))
        measured = []
        for number, goes_on in enumerate(phases):
            load.latencies = []
            await load.run(f"live-{running.pid}-{number}", goes_on)
            measured.append(load.latencies)
        return measured


def _for(seconds: float) -> Callable[[], bool]:
    """Whether so long has not passed since it was asked first."""
    began: list[float] = []

    def goes_on() -> bool:
        began.append(time.perf_counter())
        return began[-1] - began[0] < seconds

    return goes_on


@dataclass(slots=True)
class File:
    """What is left of old instances in the file, as somebody else's connection sees it."""

    path: Path
    began: float = field(default_factory=time.perf_counter)
    purged_after: float | None = None
    given_back_after: float | None = None

    def is_busy(self) -> bool:
        """Whether there are still old instances, or pages that nothing is stored in."""
        with closing(sqlite3.connect(self.path)) as connection:
            old = connection.execute(
                "SELECT 1 FROM origins WHERE hub = ? AND instance_id BETWEEN 'old-' AND 'old.' LIMIT 1",
                (HUB,),
            ).fetchone()
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        spent = time.perf_counter() - self.began
        if old is None and self.purged_after is None:
            self.purged_after = spent
        if old is None and not free:
            self.given_back_after = spent
        return self.given_back_after is None

    def mib(self) -> float:
        return self.path.stat().st_size / _MIB


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="hatch run bench retain", description=__doc__)
    parser.add_argument("--instances", type=int, default=50_000, help="how many are old")
    parser.add_argument("--rate", type=int, default=100, help="orchestrations a second")
    parser.add_argument("--activities", type=int, default=0, help="how many each of them calls")
    parser.add_argument("--seconds", type=float, default=30, help="how long without retention")
    parser.add_argument("--most-seconds", type=float, default=360, help="how long with it, at most")
    arguments = parser.parse_args(argv)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tasks.db")
        _say(f"filling a file with {arguments.instances} old instances …")
        fill(path, arguments.instances)
        _say("without retention …")
        with sidecar(path) as running:
            (first,) = asyncio.run(measured(running, arguments, _for(arguments.seconds)))
        before = File(path).mib()
        _say("with retention …")
        with sidecar(path, *_RETAIN) as running:
            file, is_in_time = File(path), _for(arguments.most_seconds)

            def while_it_purges() -> bool:
                return is_in_time() and file.is_busy()

            beside, last = asyncio.run(
                measured(running, arguments, while_it_purges, _for(arguments.seconds))
            )
        return report(first + last, beside, before, file)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(without: list[float], beside: list[float], before: float, file: File) -> int:
    ratio = _share(beside, 0.99) / _share(without, 0.99)
    for who, latencies in (("without retention", without), ("while it purges", beside)):
        figures = "".join(
            f"  p{100 * s:.0f} {1000 * _share(latencies, s):7.1f} ms" for s in (0.5, 0.99)
        )
        print(f"{who:20}{figures}  of {len(latencies)} orchestrations")
    print(f"ratio of p99        {ratio:6.2f}  at most {TARGET}")
    print(f"all purged after    {_seconds(file.purged_after)}")
    print(f"space back after    {_seconds(file.given_back_after)}")
    print(f"file                {before:6.1f} MiB before, {file.mib():.1f} MiB after")
    is_done = file.given_back_after is not None
    return 0 if is_done and ratio <= TARGET else 1


def _share(latencies: list[float], share: float) -> float:
    return sorted(latencies)[int(len(latencies) * share)]


def _seconds(span: float | None) -> str:
    return "not in time" if span is None else f"{span:6.1f} s"
