"""Workers in a process of their own, which can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """`count` workers of the sidecar at the address; runs between `start` and `kill`.

    `batches` says whether their calls may go in batches.
    """

    def __init__(
        self, address: str, folder: Path, name: str, *, count: int = 1, batches: bool = True
    ) -> None:
        self._arguments = (address, str(folder), name, str(count))
        self._environment = os.environ | {"DURABLETASK_BATCH_STREAM": "1" if batches else "0"}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.load.worker_program", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=_ROOT,
                env=self._environment,
                text=True,
            )

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does."""
        self._running.kill()
        self._running.communicate()

    def ready(self) -> int:
        """How many of its workers have a stream of work items."""
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write("ready?\n")
        self._running.stdin.flush()
        return int(self._running.stdout.readline())

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the workers were not started"
        return self._process
