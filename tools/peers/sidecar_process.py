"""A durable sidecar in a process of its own: the command that users run; it can be killed.

Killed and started again it comes back to its file and its port, as one does that a service
manager restarts: whoever was connected finds it where it was.
"""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KIB = 1024
# Seconds for a sidecar to drain, far beyond what it needs.
_PATIENCE = 30


class SidecarProcess:
    """A sidecar on a file with full synchronisation; runs between `start` and `stop` or `kill`."""

    def __init__(
        self, file: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._file = file
        self._options = options
        self._environment = environment
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """Where it listens, once it was started."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The number of the process that runs."""
        return self._running.pid

    def start(self) -> None:
        """Return when it listens: on a free port at first, on the same one ever after."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "durabletask.sidecar"),
                *("--port", str(self._port), "--db", str(self._file), "--synchronous", "full"),
                *self._options,
            ],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found is not None, f"the sidecar did not start: {line!r}"
        self._port = int(found[1])

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does."""
        self._running.kill()
        self._bury()

    def stop(self) -> None:
        """End it by SIGTERM, which it may answer in good order."""
        self._running.terminate()
        self._bury()

    def resident_bytes(self) -> int:
        """How much memory it holds now; Linux only."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * _KIB

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the sidecar was not started"
        return self._process

    def _bury(self) -> None:
        self._running.wait(_PATIENCE)
        assert self._running.stdout is not None
        self._running.stdout.close()


@contextmanager
def sidecar(file: Path, *options: str) -> Iterator[SidecarProcess]:
    """A sidecar on the file, with more options of the command; stopped in the end."""
    process = SidecarProcess(file, *options)
    process.start()
    try:
        yield process
    finally:
        process.stop()
