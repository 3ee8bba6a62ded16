"""Lock a database file, so that no second sidecar opens it.

The operating system holds the lock, on a file beside the database: it ends with the process,
however that ends. SQLite's own exclusive mode would not allow backups meanwhile.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from . import StoreError, StoreLockedError
from .files import LOCK, companion

if TYPE_CHECKING:
    from pathlib import Path


class FileLock:
    """An exclusive lock on `FILE.lock`, until it is released or the process is gone."""

    def __init__(self, path: Path) -> None:
        if not path.name:
            raise StoreError(f"{str(path)!r} is not the name of a file")
        self._path = companion(path, LOCK)
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"cannot open {self._path}: {error.strerror}") from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise StoreLockedError(
                f"{path} is in use by another durabletask-sidecar; stop it, or choose another file"
            ) from error

    def release(self) -> None:
        # A forked child has the descriptor too, so closing it would not release the lock. The
        # file stays: without it, two processes could lock two files of the same name.
        _unlock(self._descriptor)
        os.close(self._descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
