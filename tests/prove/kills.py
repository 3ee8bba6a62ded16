"""SIGKILL of a real sidecar and of its workers, again and again under a load of every kind.

The sidecar runs with full synchronisation. It is killed when clients have been told a certain
number of things since the last time, never after a certain time: wherever chance puts that
moment, others are in the middle of something. Every fourth time a worker process dies with it.
Afterwards everything is read back and held against what clients were told and activities did.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.load.checker import applied, check
from tests.load.faults import Kind
from tests.load.ledger import Answer
from tests.load.stage import stage
from tests.load.traffic import KINDS, Traffic

from .parts import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.load.evidence import Evidence
    from tests.load.faults import Fault
    from tests.load.ledger import Ledger
    from tests.load.stage import Stage

    from .parts import Options

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
    ledger: Ledger
    evidence: Evidence
    faults: Sequence[Fault]


def prove(options: Options) -> Iterator[Line]:
    """Kill so many times; the lines say what was asked for, lost and doubled."""
    run = asyncio.run(run_of(options.kills, options.seed))
    yield from lines(run)


async def run_of(kills: int, seed: int) -> Run:
    """Keep the load up until the sidecar has died so often, and let all of it come to its end."""
    chance = random.Random(seed)
    async with stage(processes=_PROCESSES) as scene:
        traffic = Traffic(scene.client, random.Random(chance.random()))
        killing = asyncio.create_task(_keep_killing(scene, traffic, kills, chance))
        traffic.keep_running(_ERRANDS_AT_ONCE, lambda: not killing.done())
        async with asyncio.timeout(_PATIENCE_A_KILL * kills):
            await killing
        await traffic.settle(_PATIENCE)
        evidence = await scene.gather()
    faults = check(traffic.ledger, evidence)
    return Run(kills, killing.result(), traffic.ledger, evidence, faults)


async def _keep_killing(scene: Stage, traffic: Traffic, kills: int, chance: random.Random) -> int:
    """Kill the sidecar so often; returns how many worker processes died as well."""
    worker_kills = 0
    for number in range(kills):
        if number and number % _PACE == 0:
            print(f"  killed {number} of {kills}, ended {traffic.ended.count}", flush=True)
        await traffic.told.more(chance.randint(1, _MOST))
        scene.sidecar.kill()
        if number % 4 == 0:
            victim = scene.workers[worker_kills % len(scene.workers)]
            victim.kill()
            victim.start()
            worker_kills += 1
        await asyncio.to_thread(scene.sidecar.start)
    return worker_kills


def lines(run: Run) -> Iterator[Line]:
    """The table of a run."""
    found = Counter(fault.kind for fault in run.faults)
    ledger, evidence = run.ledger, run.evidence
    told = sum(event.answer is Answer.TOLD for event in ledger.events.values())
    completed = sum(each.status == "COMPLETED" for each in evidence.instances.values())
    results = applied(evidence)
    yield Line("sidecar killed by SIGKILL", f"{run.kills}", holds=run.kills > 0)
    workers = run.worker_kills
    yield Line("worker processes killed with it", f"{workers}", holds=workers > 0)
    started = Counter(start.kind for start in ledger.starts.values())
    yield Line(
        f"orchestrations started, of {len(KINDS)} kinds",
        f"{started.total()}",
        holds=started.keys() >= KINDS,
    )
    yield Line(
        "completed, with their children",
        f"{completed} of {len(evidence.instances)}",
        holds=completed == len(evidence.instances) > 0,
    )
    sent, effects = len(ledger.events), len(evidence.effects)
    yield Line("events acknowledged, of those sent", f"{told} of {sent}", holds=told > 0)
    yield Line("activities carried out", f"{effects}", holds=effects > 0)
    yield Line("of their effects, results that count", f"{results}", holds=results > 0)
    for kind in Kind:
        yield Line(kind.value, f"{found[kind]}", holds=not found[kind])
