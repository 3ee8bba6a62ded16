"""The store in one SQLite file: with a write-ahead log, and one transaction for each commit.

While a transaction waits for the disk on another thread, reads go through a second connection,
in a transaction that finds what was committed before. It ends with the other one: until there
is none, SQLite cannot start its log over.

The encoded histories that were read last are cached, so that a turn which needs its history
costs a copy and no query. Commits write to the cache, too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from durabletask.sidecar.lru import Lru

from . import Change, Key, SnapshotError, StoreError, files
from .encoded_events import repeated_field
from .locking import FileLock
from .sqlite_reader import SqliteReader
from .sqlite_writer import Writer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from os import PathLike

    from . import EntityChange, Transaction

Synchronous = Literal["full", "normal"]

_HISTORY_BYTES_KEPT = 64 * 1024 * 1024


class _HistoryCache:
    """Encoded histories of the instances used last, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        # Otherwise each turn of an instance with a larger history would read all of it.
        self._histories: Lru[Key, bytearray] = Lru(most_bytes, least=1)

    def get(self, key: Key) -> bytearray | None:
        return self._histories.get(key)

    def put(self, key: Key, history: bytearray) -> None:
        self._histories.put(key, history, len(history))

    def apply(self, change: Change) -> None:
        """Add a commit to the history, if it is cached; drop it when the instance has ended."""
        history = self._histories.pop(change.key)
        if history is None or change.instance is None or not change.instance.is_live:
            return
        for transition in change.transitions:
            if transition.origin is not None:
                history = bytearray()
            history += repeated_field(transition.events)
        self.put(change.key, history)

    def discard_hub(self, hub: str) -> None:
        for key in [key for key in self._histories if key.hub == hub]:
            self._histories.pop(key)


class SqliteStore(SqliteReader):
    """Opens the file, or creates it. Raises StoreError when it cannot be used.

    `path` is the path of a file, or ":memory:" for a database that is never written to a disk.
    With `synchronous="full"` a commit survives a power cut; with `"normal"` it survives only
    the end of the process.
    """

    def __init__(
        self, path: str | PathLike[str], *, synchronous: Synchronous | str = "full"
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous must be 'full' or 'normal', not {synchronous!r}")
        # Absolute, because it is opened again later: the process may change its directory.
        self._path = Path(path).absolute()
        self._lock: FileLock | None = None
        if os.fspath(path) == files.MEMORY:
            writing = files.connect_in_memory(synchronous)
        else:
            self._lock, writing = _locked(path, synchronous)
        super().__init__(writing)
        self._writing = writing
        self._reading: sqlite3.Connection | None = None
        self._writer = Writer(writing)
        self._undone_on_failure = _UndoneOnFailure(writing)
        self._histories = _HistoryCache(_HISTORY_BYTES_KEPT)
        self._is_open = True
        self.flush_seconds = 0.0

    def history(self, key: Key) -> bytes:
        kept = self._histories.get(key)
        if kept is None:
            kept = bytearray(super().history(key))
            self._histories.put(key, kept)
        return bytes(kept)

    def commit(self, changes: Sequence[Change | EntityChange]) -> None:
        with self._undone_on_failure:
            self._write(changes)
            began = time.perf_counter()
            self._writing.execute("COMMIT")
            if self._lock is not None:
                self.flush_seconds = time.perf_counter() - began
        self._remember(changes)

    def begin(self, changes: Sequence[Change | EntityChange]) -> Transaction:
        reading = self._begin_snapshot()
        try:
            with self._undone_on_failure:
                self._write(changes)
        except BaseException:
            self._end_snapshot()
            raise
        self._connection = reading
        return _Transaction(self, changes)

    def _begin_snapshot(self) -> sqlite3.Connection:
        """The connection that finds only what is committed now.

        Without it, reads would find the changes before those who wait are told of them.
        """
        try:
            if self._reading is None:
                # Opened for the first slow flush: most disks have none.
                self._reading = files.connect_beside(self._path)
            self._reading.execute("BEGIN")
            self._reading.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except (*files.FAILURES, StoreError) as error:
            self._close_reading()
            reason = files.reason(error)
            raise SnapshotError(f"cannot read apart from a commit: {reason}") from error
        return self._reading

    def _end_snapshot(self) -> None:
        assert self._reading is not None
        try:
            self._reading.execute("ROLLBACK")
        except files.FAILURES:
            # Closing ends the snapshot too; the next one gets a new connection.
            self._close_reading()

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _write(self, changes: Sequence[Change | EntityChange]) -> None:
        self._writing.execute("BEGIN IMMEDIATE")
        self._writer.write(changes)

    def flush(self) -> None:
        """Commit what `begin` has written; for its transaction only."""
        with self._undone_on_failure:
            self._writing.execute("COMMIT")

    def end(self, changes: Sequence[Change | EntityChange], *, committed: bool) -> None:
        """End what `begin` has begun; for its transaction only."""
        self._connection = self._writing
        self._end_snapshot()
        if committed:
            self._remember(changes)
        else:
            self._undone_on_failure.roll_back()

    def _remember(self, changes: Sequence[Change | EntityChange]) -> None:
        for change in changes:
            if isinstance(change, Change):
                self._histories.apply(change)

    def wipe(self, hub: str) -> None:
        with self._undone_on_failure:
            self._writing.execute("BEGIN IMMEDIATE")
            self._writer.wipe(hub)
            self._writing.execute("COMMIT")
        self._histories.discard_hub(hub)

    def trim(self, most_bytes: int) -> bool:
        ((page_size,),) = self._query("PRAGMA page_size", ())
        pages = max(1, most_bytes // page_size)
        try:
            # A script: each page is a row without columns, and a query would end at the first.
            self._writing.executescript(f"PRAGMA incremental_vacuum({pages})")
        except files.FAILURES as error:
            reason = files.reason(error)
            raise StoreError(f"cannot shrink the file: {reason}") from error
        ((free,),) = self._query("PRAGMA freelist_count", ())
        if not free:
            # The log says that the file is shorter; a checkpoint makes it so on the disk.
            self._query("PRAGMA wal_checkpoint(PASSIVE)", ())
        return bool(free)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._close_reading()
            # Last, because then SQLite moves the log into the file.
            self._writing.close()
            if self._lock is not None:
                self._lock.release()


class _UndoneOnFailure:
    """Rolls back what was written when writing on fails, and names SQLite's errors StoreError."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        self.roll_back()
        if isinstance(error, files.FAILURES):
            reason = files.reason(error)
            raise StoreError(f"the transaction failed and was rolled back: {reason}") from error

    def roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class _Transaction:
    """Changes that are written through one connection, while reads go through the other."""

    def __init__(self, store: SqliteStore, changes: Sequence[Change | EntityChange]) -> None:
        self._store = store
        self._changes = changes
        self._is_committed = False

    def commit(self) -> None:
        self._store.flush()
        self._is_committed = True

    def close(self) -> None:
        self._store.end(self._changes, committed=self._is_committed)


def _locked(path: str | PathLike[str], synchronous: str) -> tuple[FileLock, sqlite3.Connection]:
    """The connection to a file, and the lock that keeps other sidecars from it."""
    if os.fspath(path).startswith("file:"):
        # Many builds of SQLite would take it for a URI, and open another file than is locked.
        raise StoreError(f"{os.fspath(path)!r} is a URI; give the path of the file instead")
    lock = FileLock(Path(path))
    try:
        return lock, files.connect(Path(path), synchronous)
    except BaseException:
        lock.release()
        raise
