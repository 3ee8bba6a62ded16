"""Which files beside a database belong to it: SQLite's logs, and our lock.

Knows nothing about what is in them.
"""

from __future__ import annotations

import os
from pathlib import Path

LOG = "-wal"
LOCK = ".lock"
_ALL = (LOG, "-shm", "-journal", LOCK)


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to the one at `path`.

    SQLite follows links before it names its log. So do we: with two names for one file, each
    would have a log that nobody writes, and a lock of its own.
    """
    return Path(os.path.realpath(path) + suffix)


def belongs(part: Path, path: Path) -> bool:
    """Whether `part` is one of the files that belong to the one at `path`."""
    return Path(os.path.realpath(part)) in {beside(path, suffix) for suffix in _ALL}
