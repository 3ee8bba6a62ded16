"""Read files, those with secrets in them as well, with texts for the user.

A secret that everybody on the machine may read is told, not refused: that is how Kubernetes
mounts secrets unless it is asked not to, inside containers of one user.

Knows nothing about what the files are for.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from . import SecurityError

if TYPE_CHECKING:
    from os import PathLike

_log = logging.getLogger("durabletask.sidecar")


def read(path: str | PathLike[str]) -> bytes:
    """What the file says; raise SecurityError when it cannot be read."""
    return _read(path)[0]


def read_secret(path: str | PathLike[str]) -> bytes:
    """The same, with a warning when other users of the machine may read it, too."""
    content, mode = _read(path)
    if mode & stat.S_IROTH:
        _log.warning("every user of this machine may read %s: chmod 600 it", path)
    return content


def _read(path: str | PathLike[str]) -> tuple[bytes, int]:
    try:
        with Path(path).open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise SecurityError(f"cannot read {path}: {error.strerror}") from error
