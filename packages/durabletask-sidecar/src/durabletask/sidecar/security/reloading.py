"""What files say, read again when they have changed.

Whoever asks for the value looks whether the files are still what they were: nothing polls.
A change that cannot be used is told once, in the log, and the earlier value stays.

Knows nothing about what is in the files.
"""

from __future__ import annotations

import logging
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


class Reloading(Generic[T]):
    """A value that is read from files; threads may share it."""

    def __init__(self, paths: Sequence[str | PathLike[str]], read: Callable[[], T]) -> None:
        """Read it; raise what `read` does, which is a SecurityError if it cannot be used."""
        self._paths = [Path(path) for path in paths]
        self._read = read
        self._lock = threading.Lock()
        # Before the files are read: what changes meanwhile is a change.
        self._stamps = self._look()
        self._value = read()

    def current(self) -> T:
        """The value that holds now."""
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
            # The latter when a file goes just while it is read.
            _log.error("%s; what was read before stays in force", error)
        else:
            _log.info("read again: %s", ", ".join(map(str, self._paths)))

    def _look(self) -> list[_Stamp | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> _Stamp | None:
    """What differs when a file is another one, or says something else."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
