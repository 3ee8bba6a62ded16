"""Read the files of certificates and tokens, and read them again when they have changed.

Nothing polls: each use of a value compares the files' stamps first. A changed file that cannot
be used is logged once, and the earlier value stays.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from . import SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

T = TypeVar("T")

_Stamp = tuple[int, int, int, int]

_log = logging.getLogger("durabletask.sidecar")


class FileBacked(Generic[T]):
    """A value that is read from files; safe to share between threads."""

    def __init__(self, paths: Sequence[str | PathLike[str]], read: Callable[[], T]) -> None:
        """Read the value; `read` raises SecurityError when the files cannot be used."""
        self._paths = [Path(path) for path in paths]
        self._read = read
        self._lock = threading.Lock()
        # Taken before the files are read, so that a change in between is noticed.
        self._stamps = self._look()
        self._value = read()

    def current(self) -> T:
        """The value, read again if the files have changed."""
        with self._lock:
            stamps = self._look()
            if stamps != self._stamps:
                self._stamps = stamps
                self._replace()
            return self._value

    def _replace(self) -> None:
        try:
            self._value = self._read()
        except (SecurityError, OSError) as error:
            # OSError when a file disappears while OpenSSL reads it.
            _log.error("Cannot use a changed file, the earlier one stays in force: %s", error)
        else:
            _log.info("Read changed files again: %s", ", ".join(map(str, self._paths)))

    def _look(self) -> list[_Stamp | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> _Stamp | None:
    """Differs when the path names another file or the file has other content."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(path: str | PathLike[str]) -> bytes:
    """Return the content; raise SecurityError when the file cannot be read."""
    return _read(path)[0]


def read_secret(path: str | PathLike[str]) -> bytes:
    """Do the same, and log a warning when every user of the machine may read the file.

    It is not an error, because Kubernetes mounts secrets with such permissions by default.
    """
    content, mode = _read(path)
    if mode & stat.S_IROTH:
        _log.warning("Every user of this machine can read %s: run chmod 600 on it", path)
    return content


def _read(path: str | PathLike[str]) -> tuple[bytes, int]:
    try:
        with Path(path).open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise SecurityError(f"cannot read {path}: {error.strerror}") from error
