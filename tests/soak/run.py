"""Keep a sidecar busy for a while, and kill it and its workers now and then.

    first three fifths   sidecar and worker processes are killed, at points of the run's progress
    last two fifths      nothing is killed; memory is read at even steps of the progress

A stretch ends when its share of the orchestrations has ended or its share of the time is over.
A killed sidecar starts with an empty memory, so only the last stretch can show growth.
"""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.load.checker import check
from tests.load.environment import environment
from tests.load.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.load.environment import Environment
    from tests.load.expectations import Expectations
    from tests.load.observations import Observations
    from tests.load.violations import Violation

_ERRANDS_AT_ONCE = 100
_STRETCH_OF_KILLS = 0.6
_SAMPLES = 30
# Seconds between two lines about how far it is.
_PACE = 10.0
# Seconds that what has begun may take to end when the time is over; against hangs only.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done, how long it may take, by how many, and how many die of it."""

    orchestrations: int
    seconds: float
    seed: int
    processes: int = 4
    workers: int = 50
    """In each process."""
    sidecar_kills: int = 6
    worker_kills: int = 12


@dataclass(slots=True)
class Soak:
    """What was done, and what came of it."""

    expectations: Expectations
    sidecar_kills: int = 0
    worker_kills: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    memory_at_start: int = 0
    samples: list[int] = field(default_factory=list)
    """The sidecar's memory in the last stretch."""
    streams: int = 0
    """Workers that had a stream of work items in the end."""
    heard: int = 0
    """Workers that carried something out when there was something for everybody."""
    observations: Observations | None = None
    violations: Sequence[Violation] = ()


async def soak(plan: Plan, tell: Callable[[str], None]) -> Soak:
    """Run the plan to its end; `tell` gets a line now and then."""
    async with environment(processes=plan.processes, workers=plan.workers) as processes:
        running = _Running(plan, processes, random.Random(plan.seed))
        telling = asyncio.create_task(running.keep_telling(tell))
        try:
            await running.run()
        finally:
            telling.cancel()
        tell("reading everything back")
        result = running.result
        result.observations = await processes.gather()
    result.violations = check(result.expectations, result.observations)
    result.processor_seconds = _processor_seconds()
    return result


def _processor_seconds() -> float:
    """What this program and all that it started have used, now that these are gone."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


class _Running:
    """A soak under way."""

    def __init__(self, plan: Plan, processes: Environment, chance: random.Random) -> None:
        self._plan = plan
        self._processes = processes
        self._chance = chance
        self._workload = Workload(processes.client, random.Random(chance.random()))
        self.result = Soak(self._workload.expectations)
        self._began = self._now

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self) -> None:
        self.result.memory_at_start = self._processes.sidecar.resident_bytes()
        self._workload.keep_running(_ERRANDS_AT_ONCE, self._is_more_to_start)
        await self._until(_STRETCH_OF_KILLS, self._keep_killing)
        await self._until(1.0, self._watch_memory)
        await self._workload.settle(_PATIENCE)
        self.result.seconds = self._now - self._began
        await self._call_the_roll()

    async def keep_telling(self, tell: Callable[[str], None]) -> None:
        """Say now and then how far it is."""
        while True:
            await asyncio.sleep(_PACE)
            tell(self._line())

    def _line(self) -> str:
        result, expectations = self.result, self._workload.expectations
        memory = f", sidecar {result.samples[-1] / 2**20:.0f} MiB" if result.samples else ""
        return (
            f"{self._now - self._began:4.0f} s: started {len(expectations.starts)} of "
            f"{self._plan.orchestrations}, ended {len(expectations.endings)}, "
            f"killed {result.sidecar_kills} + {result.worker_kills}{memory}"
        )

    def _is_more_to_start(self) -> bool:
        is_time = self._now - self._began < self._plan.seconds
        return is_time and len(self._workload.expectations.starts) < self._plan.orchestrations

    async def _until(self, share: float, act: Callable[[], Awaitable[None]]) -> None:
        """Do it, but no longer than to that share of the time."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._began + share * self._plan.seconds):
                await act()

    async def _keep_killing(self) -> None:
        plan = self._plan
        victims = [self._kill_sidecar] * plan.sidecar_kills
        victims += [self._kill_worker] * plan.worker_kills
        self._chance.shuffle(victims)
        step = _STRETCH_OF_KILLS * plan.orchestrations / len(victims)
        for number, kill in enumerate(victims):
            await self._workload.ended.reach(int((number + self._chance.random()) * step))
            await kill()

    async def _kill_sidecar(self) -> None:
        self._processes.sidecar.kill()
        # Shielded: the time may be over, but without a sidecar nothing would go on.
        await asyncio.shield(asyncio.to_thread(self._processes.sidecar.start))
        self.result.sidecar_kills += 1

    async def _kill_worker(self) -> None:
        target = self._chance.choice(self._processes.workers)
        target.kill()
        target.start()
        self.result.worker_kills += 1

    async def _call_the_roll(self) -> None:
        """Give everybody something to do: idle workers are served in turn, unless they are deaf."""
        asked = (asyncio.to_thread(worker.ready) for worker in self._processes.workers)
        self.result.streams = sum(await asyncio.gather(*asked))
        before = self._done_by_worker()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._workload.fan_out(2 * self._plan.workers * self._plan.processes)
        self.result.heard = len(self._done_by_worker() - before)

    async def _watch_memory(self) -> None:
        """Read it whenever another share of the stretch's orchestrations has ended."""
        begin = self._workload.ended.count
        step = (self._plan.orchestrations - begin) / _SAMPLES
        if step <= 0:
            # All is over: thirty looks at a sidecar at rest would say that it does not grow.
            return
        for number in range(1, _SAMPLES + 1):
            await self._workload.ended.reach(begin + int(number * step))
            self.result.samples.append(self._processes.sidecar.resident_bytes())

    def _done_by_worker(self) -> Counter[str]:
        return Counter(effect.worker for effect in self._processes.effects())
