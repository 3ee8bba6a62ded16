"""What this machine is, and what a flush costs on the disk that the benchmarks use."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMES = 200
_PAGE = bytes(4096)


@dataclass(frozen=True, slots=True)
class Disk:
    """Medians in ms."""

    flush: float
    """`fdatasync` after 4 KiB were appended to a file."""
    commit_full: float
    """A COMMIT of one row with `synchronous=full`, in WAL."""
    commit_normal: float
    """The same with `synchronous=normal`."""

    def __str__(self) -> str:
        return (
            f"{self.flush:.2f} ms for a flush (`fdatasync` of 4 KiB), {self.commit_full:.2f} ms for a "
            f"COMMIT of one row with `synchronous=full`, {self.commit_normal:.2f} ms with `normal`"
        )


def describe() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}"
    )


def measure_disk() -> Disk:
    """Measure in the folder for temporary files, where the benchmarks keep their databases."""
    with tempfile.TemporaryDirectory() as folder:
        return Disk(
            flush=_flush(Path(folder, "flushed")),
            commit_full=_commit(Path(folder, "full.db"), "full"),
            commit_normal=_commit(Path(folder, "normal.db"), "normal"),
        )


def _flush(file: Path) -> float:
    with file.open("wb", buffering=0) as opened:

        def prepare() -> None:
            opened.write(_PAGE)

        return _median_ms(prepare, lambda: os.fdatasync(opened.fileno()))


def _commit(file: Path, synchronous: str) -> float:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE numbers (number INTEGER)")

        def prepare() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO numbers VALUES (1)")

        return _median_ms(prepare, lambda: connection.execute("COMMIT"))


def _median_ms(prepare: Callable[[], object], act: Callable[[], object]) -> float:
    taken = []
    for _ in range(_TIMES):
        prepare()
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken)
