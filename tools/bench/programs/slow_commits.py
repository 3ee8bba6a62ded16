"""Make every COMMIT of this process take longer, as on a disk that needs time for a flush."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass
class SlowCommits:
    """How long each takes, and how many there were."""

    seconds: float
    count: int = 0

    def sleep(self) -> None:
        # It gives way to other threads, as SQLite does while it waits for the disk.
        time.sleep(self.seconds)
        self.count += 1


def install(seconds: float) -> SlowCommits:
    """Sleep so long inside every COMMIT on a connection that is made from now on."""
    commits = SlowCommits(seconds)

    class SlowConnection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql.startswith("COMMIT"):
                commits.sleep()
            return super().execute(sql, *parameters)

        def commit(self) -> None:
            if self.in_transaction:
                commits.sleep()
            super().commit()

    sqlite3.connect = partial(sqlite3.connect, factory=SlowConnection)  # type: ignore[assignment]
    return commits
