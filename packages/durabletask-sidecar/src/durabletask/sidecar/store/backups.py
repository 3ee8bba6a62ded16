"""Copy a database file that a sidecar may be writing to.

The copy is of one moment: it is read in one transaction of the write-ahead log, which
neither waits for the sidecar's commits nor keeps them waiting. While it lasts the log is not
cut short, so it grows by what is written meanwhile. The copy is written beside its target,
flushed, and takes the target's name last: whoever finds the target finds it whole.

Knows nothing about what is in the file.
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

# How many pages, of 4 KiB mostly, are copied between two looks at the progress.
_STEP = 2048


def copy(source: Path, target: Path, *, overwrite: bool, progress: Progress) -> None:
    """Make `target` a copy of `source` as it is at some moment during the call.

    `progress` is told now and then how many bytes are copied, and of how many. Raises
    StoreError, and leaves the target as it was, when that cannot be.
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
        raise StoreError(f"{target} is a folder; name a file in it")
    if target.exists() and target.samefile(source):
        raise StoreError(f"{target} is the file itself; name another one for the backup")
    if files.is_companion(target, source):
        raise StoreError(f"{target} belongs to {source}; name another file for the backup")
    if target.exists() and not overwrite:
        raise StoreError(f"{target} is there already; name another file, or use --force")
    if files.companion(target, files.LOCK).exists():
        FileLock(target).release()
    if files.log_size(target):
        # SQLite would take this log for a part of the copy.
        raise StoreError(
            f"{files.companion(target, files.LOG)} still holds changes of another {target.name}; name another file"
        )


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty file in the same folder, which is gone afterwards unless it was renamed."""
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
        # Half a copy is thrown away, and a whole one is flushed once.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=_STEP, progress=tell)


def _flush(path: Path) -> None:
    """Have the file, or the names in the folder, survive a power cut."""
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
        # Unlike a renaming, a link never takes the place of what somebody else made meanwhile.
        target.hardlink_to(part)
    except FileExistsError as error:
        raise StoreError(f"{target} has come into being meanwhile; name another file") from error
    except OSError:
        # Not every file system has links.
        part.replace(target)
