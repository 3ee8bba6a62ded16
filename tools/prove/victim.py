"""A sidecar in a process of its own, to be attacked, and what can be seen of it from outside.

Knows nothing about the attacks.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PATIENCE = 30


class Victim:
    """A sidecar's process; what it logs goes to a file."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        if found is None:
            raise RuntimeError(f"the sidecar did not start: {line}{log.read_text()}")
        self.address = found[0]
        self._process = process
        self._log = log

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def logged(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def resident_mib(self) -> float:
        """How much memory it holds; Linux only."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


SIDECAR = ("-m", "durabletask.sidecar")


@contextmanager
def sidecar(program: Sequence[str] = SIDECAR) -> Iterator[Victim]:
    """Started on a file of its own, which is gone afterwards; stopped in the end.

    `program` is what Python runs: one that is not quite the sidecar shows whether an attack
    finds out.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        options = ("--port", "0", "--db", str(Path(folder, "tasks.db")))
        with (
            log.open("w") as stderr,
            subprocess.Popen(
                [sys.executable, *program, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as process,
        ):
            try:
                yield Victim(process, log)
            finally:
                process.terminate()
                process.wait(_PATIENCE)
