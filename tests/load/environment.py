"""A sidecar, its workers and a client for a load test, each in a process of its own."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from durabletask.client import AsyncTaskHubGrpcClient
from tools.peers.sidecar_process import SidecarProcess

from . import effects, observations
from .workers import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .effects import Effect
    from .observations import Observations


@dataclass(frozen=True, slots=True)
class Environment:
    """All that takes part, while it runs."""

    folder: Path
    sidecar: SidecarProcess
    workers: Sequence[WorkerProcess]
    client: AsyncTaskHubGrpcClient

    async def gather(self) -> Observations:
        """What is found now."""
        return await observations.gather(self.client, self.effects())

    def effects(self) -> list[Effect]:
        """What activities have done by now."""
        return list(effects.read(self.folder))


@asynccontextmanager
async def environment(*, processes: int, workers: int = 1) -> AsyncIterator[Environment]:
    """So many worker processes with so many workers each; all of it is gone in the end.

    Every second process makes its calls one by one, the others on a batch stream.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sidecar = SidecarProcess(folder / "tasks.db")
        sidecar.start()
        hosts: list[WorkerProcess] = []
        try:
            for number in range(processes):
                host = WorkerProcess(
                    sidecar.address, folder, f"w{number}", count=workers, batches=number % 2 == 0
                )
                host.start()
                hosts.append(host)
            async with AsyncTaskHubGrpcClient(host_address=sidecar.address) as client:
                yield Environment(folder, sidecar, hosts, client)
        finally:
            for each in hosts:
                each.kill()
            sidecar.kill()
