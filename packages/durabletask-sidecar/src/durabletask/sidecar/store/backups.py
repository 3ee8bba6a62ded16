"""Copy a database file while a sidecar may be writing to it.

The copy is a snapshot: it is read in one transaction of the write-ahead log, which neither
waits for the sidecar's commits nor delays them. Meanwhile the log is not truncated, so it
grows by what is written. The copy is written to a temporary file beside the target, flushed,
and renamed last: the target is never incomplete.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import StoreError, files
from .locking import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]

# How many pages (usually of 4 KiB) are copied between two reports of the progress.
_STEP = 2048


def copy(source: Path, target: Path, *, overwrite: bool, progress: Progress) -> None:
    """Make `target` a snapshot of `source`, taken during the call.

    `progress` is called now and then with the number of bytes copied and of all bytes. When
    this raises StoreError, the target is as it was before.
    """
    _check_target(source, target, overwrite=overwrite)
    with closing(files.connect_to_read(source)) as connection:
        try:
            with _beside(target) as part:
                part.chmod(stat.S_IMODE(source.stat().st_mode))
                _copy_pages(connection, part, progress)
                _flush(part)
                _check_target(source, target, overwrite=overwrite)
                _give_name(part, target, overwrite=overwrite)
            _flush(target.parent)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error.strerror}") from error
        except files.FAILURES as error:
            reason = files.reason(error)
            raise StoreError(f"cannot copy {source} to {target}: {reason}") from error


def _check_target(source: Path, target: Path, *, overwrite: bool) -> None:
    if not target.name or target.is_dir():
        raise StoreError(f"{target} is a directory; give the name of a file in it")
    if target.exists() and target.samefile(source):
        raise StoreError(f"{target} is the database itself; choose another file for the backup")
    if files.is_companion(target, source):
        raise StoreError(
            f"{target} is one of the files that belong to {source}; choose another file for the backup"
        )
    if target.exists() and not overwrite:
        raise StoreError(f"{target} already exists; choose another file, or use --force")
    if files.companion(target, files.LOCK).exists():
        FileLock(target).release()
    if files.log_size(target):
        # SQLite would read this log as a part of the copy.
        raise StoreError(
            f"{files.companion(target, files.LOG)} still has changes of an earlier {target.name}; choose another file"
        )


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty file in the same directory, which is deleted afterwards unless it was renamed."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _copy_pages(source: sqlite3.Connection, part: Path, progress: Progress) -> None:
    page_size = source.execute("PRAGMA page_size").fetchone()[0]

    def tell(_status: int, remaining: int, total: int) -> None:
        progress((total - remaining) * page_size, total * page_size)

    with closing(sqlite3.connect(part)) as copy:
        # An incomplete copy is deleted, and a complete one is flushed once.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=_STEP, progress=tell)


def _flush(path: Path) -> None:
    """Make the file, or the names in the directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(part: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(target)
        return
    try:
        # Unlike a rename, a link never replaces a file that was created in the meantime.
        target.hardlink_to(part)
    except FileExistsError as error:
        raise StoreError(f"{target} was created in the meantime; choose another file") from error
    except OSError:
        # Not every file system has hard links.
        part.replace(target)
