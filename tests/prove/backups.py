"""Backups that are taken under load, checked, and started on.

A sidecar in a process of its own, with full synchronisation, is given thirty orchestrations a
second. At random moments the command `backup` runs beside it. Afterwards each backup is checked,
a sidecar is started on it, and everything that was acknowledged before the backup began must be
there and complete.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench.steady import Load, connected
from tools.peers.sidecar_process import sidecar

from .suites import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .suites import Options

NAME = "backups"

BACKUPS = 10
_RATE = 30
_ACTIVITIES = 2
# The most starts that are acknowledged between two backups.
_MOST = 100
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Backup:
    """A file, and what has to be in it."""

    path: Path
    acknowledged: Sequence[str]
    """Ids of orchestrations whose start was acknowledged before the backup began."""
    later: int
    """How many more were acknowledged while it was made."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a sidecar that was started on a backup."""

    missing: int
    findings: int
    """Lines that `check` printed about it, before and after."""


def prove(options: Options) -> Iterator[Row]:
    """Take the backups, then restore each of them."""
    with tempfile.TemporaryDirectory() as folder:
        backups = take(Path(folder), BACKUPS, options.seed)
        restored = [restore(backup) for backup in backups]
    yield from rows(backups, restored)


def take(folder: Path, count: int, seed: int) -> list[Backup]:
    """So many backups of a sidecar under load."""
    path = folder / "tasks.db"
    with sidecar(path) as running:
        return asyncio.run(_take(path, running.address, count, random.Random(seed)))


async def _take(path: Path, address: str, count: int, chance: random.Random) -> list[Backup]:
    backups: list[Backup] = []
    async with connected(address) as link:
        load = Load(link, _RATE, _ACTIVITIES)
        running = asyncio.create_task(load.run("live", lambda: len(backups) < count))
        while len(backups) < count and not running.done():
            await _grown(load, running, by=chance.randint(1, _MOST))
            backups.append(await _backup(path, load, len(backups)))
        await running
    return backups


async def _grown(load: Load, running: asyncio.Task[None], *, by: int) -> None:
    """Wait until so many more starts are acknowledged."""
    target = len(load.started) + by
    while len(load.started) < target and not running.done():  # noqa: ASYNC110 - or it has failed
        await asyncio.sleep(0.01)


async def _backup(path: Path, load: Load, number: int) -> Backup:
    target = path.with_name(f"backup-{number}.db")
    acknowledged = tuple(load.started)
    code, printed = await _run("backup", "--db", str(path), str(target))
    assert code == 0, printed
    return Backup(target, acknowledged, len(load.started) - len(acknowledged))


def restore(backup: Backup) -> Restored:
    """Check the backup, let everything in it end, and check it again."""
    before = asyncio.run(_findings(backup.path))
    with sidecar(backup.path) as running:
        missing = asyncio.run(_run_on(running.address, backup.acknowledged))
    return Restored(missing, before + asyncio.run(_findings(backup.path)))


async def _run_on(address: str, ids: Sequence[str]) -> int:
    """Wait until all of these have ended; how many there are not."""
    async with connected(address) as link:
        load = Load(link, _RATE, _ACTIVITIES)
        async with load.working(), asyncio.timeout(_PATIENCE):
            return [await load.ended(instance_id) for instance_id in ids].count(False)


async def _findings(path: Path) -> int:
    code, printed = await _run("check", str(path))
    assert code in (0, 1), printed
    # The last line is the sum.
    return len(printed.splitlines()) - 1


async def _run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "durabletask.sidecar", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_PATIENCE):
        printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


def rows(backups: Sequence[Backup], restored: Sequence[Restored]) -> Iterator[Row]:
    """The table of it."""
    acknowledged = sum(len(backup.acknowledged) for backup in backups)
    later = sum(backup.later for backup in backups)
    missing = sum(each.missing for each in restored)
    findings = sum(each.findings for each in restored)
    yield Row("backups taken under load", f"{len(backups)}", holds=bool(backups))
    yield Row("starts acknowledged while they were made", f"{later}", holds=later > 0)
    yield Row("orchestrations acknowledged before", f"{acknowledged}", holds=acknowledged > 0)
    yield Row("of these, missing in their backup", f"{missing}", holds=missing == 0)
    yield Row("of these, ended on their backup", f"{acknowledged - missing}", holds=True)
    yield Row("findings of check in backups", f"{findings}", holds=findings == 0)
