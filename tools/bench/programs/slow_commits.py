"""Make every COMMIT of this process take longer, as on a disk that needs time for a flush."""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from typing import Any


def install(seconds: float) -> None:
    """Sleep so long inside every COMMIT on a connection that is made from now on."""

    class SlowConnection(sqlite3.Connection):
        # A sleep gives way to other threads, as SQLite does while it waits for the disk.
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql.startswith("COMMIT"):
                time.sleep(seconds)
            return super().execute(sql, *parameters)

        def commit(self) -> None:
            if self.in_transaction:
                time.sleep(seconds)
            super().commit()

    sqlite3.connect = partial(sqlite3.connect, factory=SlowConnection)  # type: ignore[assignment]
