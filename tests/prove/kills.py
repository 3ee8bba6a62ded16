"""SIGKILL of a real sidecar and of its workers, again and again under a load of every kind.

The sidecar runs with full synchronisation. The client and one worker process make their calls on a
batch stream, the other worker process makes them one by one. The sidecar is killed after clients
were told a random number of things, never after a certain time, so that others are always in the
middle of something. Every fourth time a worker process is killed with it. Afterwards everything is
read back and checked against what clients were told and activities did.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.load.checker import applied, check
from tests.load.environment import environment
from tests.load.expectations import Answer
from tests.load.violations import Kind
from tests.load.workload import KINDS, Workload

from .suites import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.load.environment import Environment
    from tests.load.expectations import Expectations
    from tests.load.observations import Observations
    from tests.load.violations import Violation

    from .suites import Options

NAME = "kills"

_ERRANDS_AT_ONCE = 24
_PROCESSES = 2
# The most acknowledgments between two kills.
_MOST = 30
# Kills between two lines about how far it is.
_PACE = 20
# Seconds between two kills, and seconds in which what has begun must end; against hangs only.
_PATIENCE_A_KILL = 30.0
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """What was done to a sidecar and its workers, and what came of it."""

    kills: int
    worker_kills: int
    expectations: Expectations
    observations: Observations
    violations: Sequence[Violation]


def prove(options: Options) -> Iterator[Row]:
    """Kill so many times; the lines say what was asked for, lost and doubled."""
    run = asyncio.run(run_of(options.kills, options.seed))
    yield from rows(run)


async def run_of(kills: int, seed: int) -> Run:
    """Keep the load up until the sidecar has died so often, and let all of it come to its end."""
    chance = random.Random(seed)
    async with environment(processes=_PROCESSES) as running:
        workload = Workload(running.client, random.Random(chance.random()))
        killing = asyncio.create_task(_keep_killing(running, workload, kills, chance))
        workload.keep_running(_ERRANDS_AT_ONCE, lambda: not killing.done())
        async with asyncio.timeout(_PATIENCE_A_KILL * kills):
            await killing
        await workload.settle(_PATIENCE)
        observations = await running.gather()
    violations = check(workload.expectations, observations)
    return Run(kills, killing.result(), workload.expectations, observations, violations)


async def _keep_killing(
    running: Environment, workload: Workload, kills: int, chance: random.Random
) -> int:
    """Kill the sidecar so often; returns how many worker processes died as well."""
    worker_kills = 0
    for number in range(kills):
        if number and number % _PACE == 0:
            print(f"  killed {number} of {kills}, ended {workload.ended.count}", flush=True)
        await workload.told.more(chance.randint(1, _MOST))
        running.sidecar.kill()
        if number % 4 == 0:
            target = running.workers[worker_kills % len(running.workers)]
            target.kill()
            target.start()
            worker_kills += 1
        await asyncio.to_thread(running.sidecar.start)
    return worker_kills


def rows(run: Run) -> Iterator[Row]:
    """The table of a run."""
    found = Counter(violation.kind for violation in run.violations)
    expectations, observations = run.expectations, run.observations
    told = sum(event.answer is Answer.TOLD for event in expectations.events.values())
    completed = sum(each.status == "COMPLETED" for each in observations.instances.values())
    results = applied(observations)
    yield Row("sidecar killed by SIGKILL", f"{run.kills}", holds=run.kills > 0)
    workers = run.worker_kills
    yield Row("worker processes killed with it", f"{workers}", holds=workers > 0)
    started = Counter(start.kind for start in expectations.starts.values())
    yield Row(
        f"orchestrations started, of {len(KINDS)} kinds",
        f"{started.total()}",
        holds=started.keys() >= KINDS,
    )
    yield Row(
        "completed, with their children",
        f"{completed} of {len(observations.instances)}",
        holds=completed == len(observations.instances) > 0,
    )
    sent, effects = len(expectations.events), len(observations.effects)
    yield Row("events acknowledged, of those sent", f"{told} of {sent}", holds=told > 0)
    yield Row("activities carried out", f"{effects}", holds=effects > 0)
    yield Row("of their effects, results that count", f"{results}", holds=results > 0)
    for kind in Kind:
        yield Row(kind.value, f"{found[kind]}", holds=not found[kind])
