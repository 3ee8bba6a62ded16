"""Keep a sidecar busy for a while, and kill it and its workers now and then.

    first three fifths   sidecar and worker processes are killed, at moments of the run's progress
    last two fifths      nothing is killed; memory is read at even steps of the progress

A stretch ends when its share of the orchestrations has ended, or its share of the time is
over. A killed sidecar begins anew with an empty memory, so only the last stretch can tell.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.load.checker import check
from tools.load.stage import stage
from tools.load.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tools.load.evidence import Evidence
    from tools.load.faults import Fault
    from tools.load.ledger import Ledger
    from tools.load.stage import Stage

PROCESSES = 4
WORKERS = 50
_ERRANDS_AT_ONCE = 100
_SIDECAR_KILLS = 6
_WORKER_KILLS = 12
_STRETCH_OF_KILLS = 0.6
_SAMPLES = 30
# Seconds between two lines about how far it is.
_PACE = 10.0
# Seconds that what has begun may take to end when the time is over; against hangs only.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done, and how long it may take."""

    orchestrations: int
    seconds: float
    seed: int


@dataclass(slots=True)
class Soak:
    """What was done, and what came of it."""

    ledger: Ledger
    sidecar_kills: int = 0
    worker_kills: int = 0
    seconds: float = 0.0
    memory_at_start: int = 0
    samples: list[int] = field(default_factory=list)
    """The sidecar's memory in the last stretch."""
    streams: int = 0
    """Workers that had a stream of work items when the killing was over."""
    heard: int = 0
    """Workers that carried something out since then."""
    evidence: Evidence | None = None
    faults: Sequence[Fault] = ()


async def soak(plan: Plan, tell: Callable[[str], None]) -> Soak:
    """Run the plan to its end; `tell` gets a line now and then."""
    async with stage(processes=PROCESSES, workers=WORKERS) as scene:
        running = _Running(plan, scene, random.Random(plan.seed))
        telling = asyncio.create_task(running.keep_telling(tell))
        try:
            await running.run()
        finally:
            telling.cancel()
        tell("reading everything back")
        result = running.result
        result.evidence = await scene.gather()
    result.faults = check(result.ledger, result.evidence)
    return result


class _Running:
    """A soak under way."""

    def __init__(self, plan: Plan, scene: Stage, chance: random.Random) -> None:
        self._plan = plan
        self._scene = scene
        self._chance = chance
        self._traffic = Traffic(scene.client, random.Random(chance.random()))
        self.result = Soak(self._traffic.ledger)
        self._began = self._now

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self) -> None:
        self.result.memory_at_start = self._scene.sidecar.resident_bytes()
        self._traffic.keep_running(_ERRANDS_AT_ONCE, self._is_more_to_start)
        await self._until(_STRETCH_OF_KILLS, self._keep_killing)
        before = self._done_by_worker()
        self.result.streams = await self._streams()
        await self._until(1.0, self._watch_memory)
        await self._traffic.settle(_PATIENCE)
        self.result.seconds = self._now - self._began
        self.result.heard = len(self._done_by_worker() - before)

    async def keep_telling(self, tell: Callable[[str], None]) -> None:
        """Say now and then how far it is."""
        while True:
            await asyncio.sleep(_PACE)
            tell(self._line())

    def _line(self) -> str:
        result, ledger = self.result, self._traffic.ledger
        memory = f", sidecar {result.samples[-1] / 2**20:.0f} MiB" if result.samples else ""
        return (
            f"{self._now - self._began:4.0f} s: started {len(ledger.starts)} of "
            f"{self._plan.orchestrations}, ended {len(ledger.endings)}, "
            f"killed {result.sidecar_kills} + {result.worker_kills}{memory}"
        )

    def _is_more_to_start(self) -> bool:
        is_time = self._now - self._began < self._plan.seconds
        return is_time and len(self._traffic.ledger.starts) < self._plan.orchestrations

    async def _until(self, share: float, act: Callable[[], Awaitable[None]]) -> None:
        """Do it, but no longer than to that share of the time."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._began + share * self._plan.seconds):
                await act()

    async def _keep_killing(self) -> None:
        victims = [self._kill_sidecar] * _SIDECAR_KILLS + [self._kill_worker] * _WORKER_KILLS
        self._chance.shuffle(victims)
        step = _STRETCH_OF_KILLS * self._plan.orchestrations / len(victims)
        for number, kill in enumerate(victims):
            await self._traffic.ended.reach(int((number + self._chance.random()) * step))
            await kill()

    async def _kill_sidecar(self) -> None:
        self._scene.sidecar.kill()
        # Shielded: the time may be over, but without a sidecar nothing would go on.
        await asyncio.shield(asyncio.to_thread(self._scene.sidecar.start))
        self.result.sidecar_kills += 1

    async def _kill_worker(self) -> None:
        victim = self._chance.choice(self._scene.workers)
        victim.kill()
        victim.start()
        self.result.worker_kills += 1

    async def _streams(self) -> int:
        asked = (asyncio.to_thread(worker.ready) for worker in self._scene.workers)
        return sum(await asyncio.gather(*asked))

    async def _watch_memory(self) -> None:
        """Read it whenever another share of the stretch's orchestrations has ended."""
        begin = self._traffic.ended.count
        step = (self._plan.orchestrations - begin) / _SAMPLES
        for number in range(1, _SAMPLES + 1):
            await self._traffic.ended.reach(begin + int(number * step))
            self.result.samples.append(self._scene.sidecar.resident_bytes())

    def _done_by_worker(self) -> Counter[str]:
        return Counter(effect.worker for effect in self._scene.effects())
