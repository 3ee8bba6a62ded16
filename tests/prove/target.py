"""A sidecar in a process of its own as the target of attacks, and what is visible from outside."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PATIENCE = 30


class TargetSidecar:
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

    def may_write(self, most: int | None) -> None:
        """Let no file of its grow beyond so many bytes from now on; Linux only."""
        unlimited = resource.RLIM_INFINITY
        limit = (unlimited if most is None else most, unlimited)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, limit)

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
def sidecar(
    program: Sequence[str] = SIDECAR,
    *,
    file: Path | None = None,
    prepare: Callable[[], None] | None = None,
) -> Iterator[TargetSidecar]:
    """Started on the file, or on one that is gone afterwards; stopped in the end.

    `program` is what Python runs: one that is not quite the sidecar shows whether an attack
    finds out. `prepare` takes something away from the process before it begins.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        path = file or Path(folder, "tasks.db")
        with (
            log.open("w") as stderr,
            subprocess.Popen(
                [sys.executable, *program, "--port", "0", "--db", str(path)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                preexec_fn=prepare,  # noqa: PLW1509 - there are no other threads at the time
            ) as process,
        ):
            try:
                yield TargetSidecar(process, log)
            finally:
                process.terminate()
                process.wait(_PATIENCE)


def refusal(file: Path, prepare: Callable[[], None] | None = None) -> tuple[int, str]:
    """What a sidecar that must not start returns, and what it says."""
    done = subprocess.run(
        [sys.executable, *SIDECAR, "--port", "0", "--db", str(file)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        preexec_fn=prepare,
    )
    return done.returncode, done.stderr
