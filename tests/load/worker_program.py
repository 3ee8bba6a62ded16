"""A program that runs a number of workers, to be killed.

    python -m tests.load.worker_program ADDRESS FOLDER NAME WORKERS

Its activities write their effects into the folder. For each line on its input it prints how many
of its workers have a stream of work items. It ends with its input, so that none is left when the
process that started it dies.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from functools import partial
from pathlib import Path

from durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker

from .effects import Effects
from .orchestrations import register

# Many workers share the process; each alone would start as many threads as it likes.
_CONCURRENCY = ConcurrencyOptions(maximum_thread_pool_workers=2)


async def host(address: str, folder: Path, name: str, count: int) -> None:
    """Work until the input ends."""
    refused: set[tuple[str, int]] = set()
    workers = [_worker(address, folder, f"{name}.{number}", refused) for number in range(count)]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    while await asyncio.to_thread(sys.stdin.readline):
        print(sum([await _is_ready(worker) for worker in workers]), flush=True)
    for worker in workers:
        worker.stop(grace=0)
    await asyncio.gather(*running)


def _worker(
    address: str, folder: Path, name: str, refused: set[tuple[str, int]]
) -> TaskHubGrpcWorker:
    worker = TaskHubGrpcWorker(host_address=address, concurrency_options=_CONCURRENCY)
    file = folder / f"{name.partition('.')[0]}.effects"
    register(worker, Effects(file, name, partial(secrets.token_hex, 8)), refused)
    return worker


async def _is_ready(worker: TaskHubGrpcWorker) -> bool:
    try:
        await worker.until_ready(timeout=10)
    except TimeoutError:
        return False
    return True


if __name__ == "__main__":
    asyncio.run(host(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
