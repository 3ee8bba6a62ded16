"""Group commit on SQLite with full synchronisation, against raw SQLite in batches of 100.

Ours: 64 waiters, each raising the next event when its last one is stored, through engine,
committer and store. Raw: the same statements on the same tables, prepared values, 100 rows
a transaction. Every event writes two rows, one of the inbox and one of the progress of its
instance; so does every pair of raw rows. Both run in turn, the figures are the best of the
rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from durabletask.protocol import messages
from durabletask.sidecar.clock import SystemClock
from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.commit.group_commit import GroupCommit
from durabletask.sidecar.engine.commands import RaiseEvent, StartInstance
from durabletask.sidecar.engine.inbox import InboxRow, RowKind
from durabletask.sidecar.engine.state import Progress
from durabletask.sidecar.store import files, rows, statements
from durabletask.sidecar.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import sqlite3

HUB = "bench"
PAYLOAD = '"' + 40 * "x" + '"'
ROWS_AN_EVENT = 2
RAW_BATCH = 100
TARGET = 1 / 3


def ours(file: Path, waiters: int, events: int) -> float:
    """Rows/s of events that are stored before anybody is told."""
    store = SqliteStore(file)
    try:
        return asyncio.run(_raise_all(store, waiters, events))
    finally:
        store.close()


async def _raise_all(store: SqliteStore, waiters: int, events: int) -> float:
    numbers = itertools.count()
    commits = GroupCommit(
        Committer(store), SystemClock(), lambda: str(next(numbers)), lambda _notifications: None
    )
    commits.start()
    for waiter in range(waiters):
        await commits.submit(Submission(HUB, f"instance-{waiter}", StartInstance("bench")))

    async def raise_some(waiter: int) -> None:
        for _ in range(events // waiters):
            command = RaiseEvent("tick", PAYLOAD)
            await commits.submit(Submission(HUB, f"instance-{waiter}", command))

    started = time.perf_counter()
    await asyncio.gather(*(raise_some(waiter) for waiter in range(waiters)))
    seconds = time.perf_counter() - started
    commits.close()
    return ROWS_AN_EVENT * (events // waiters) * waiters / seconds


def raw(file: Path, waiters: int, events: int) -> float:
    """Rows/s of the same rows, written by nothing but SQLite."""
    connection = files.connect(file, "full")
    try:
        values = _values(waiters, events)
        started = time.perf_counter()
        for batch in values:
            _write(connection, batch)
        seconds = time.perf_counter() - started
    finally:
        connection.close()
    return ROWS_AN_EVENT * events / seconds


def _values(waiters: int, events: int) -> list[list[tuple[rows.Columns, rows.Columns]]]:
    """The rows of all events, in batches."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    pairs = []
    for number in range(events):
        key = (HUB, f"instance-{number % waiters}")
        row = InboxRow(number, RowKind.EVENT, now, PAYLOAD.encode())
        progress = Progress(messages.OrchestrationStatus.PENDING, now, rows_made=number)
        inbox = (*key, *rows.inbox_columns(row))
        pairs.append((inbox, (*key, *rows.progress_columns(progress), rows.micros(now))))
    size = RAW_BATCH // ROWS_AN_EVENT
    return [pairs[first : first + size] for first in range(0, events, size)]


def _write(connection: sqlite3.Connection, batch: list[tuple[rows.Columns, rows.Columns]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statements.WRITE_INBOX, (inbox for inbox, _ in batch))
    connection.executemany(statements.WRITE_PROGRESS, (progress for _, progress in batch))
    connection.execute("COMMIT")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="hatch run bench store", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--waiters", type=int, default=64, help="how many wait at once")
    parser.add_argument("--events", type=int, default=20_000, help="how many are raised")
    arguments = parser.parse_args(argv)

    mine, peers = [], []
    for number in range(1, arguments.rounds + 1):
        print(f"round {number} of {arguments.rounds} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            size = (arguments.waiters, arguments.events)
            mine.append(ours(Path(folder, "ours.db"), *size))
            peers.append(raw(Path(folder, "raw.db"), *size))

    ratio = max(mine) / max(peers)
    print(f"group commit, {arguments.waiters} waiters   {max(mine):8.0f} rows/s")
    print(f"raw SQLite, batches of {RAW_BATCH}  {max(peers):8.0f} rows/s")
    print(f"ratio {ratio:.2f}; target: at least {TARGET:.2f}")
    return 0 if ratio >= TARGET else 1
