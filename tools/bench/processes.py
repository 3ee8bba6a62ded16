"""A durable sidecar in a process of its own, for benchmarks."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE_KIB = 1024


@dataclass(frozen=True, slots=True)
class Running:
    """A sidecar that listens."""

    address: str
    pid: int

    def resident_bytes(self) -> int:
        """How much memory it holds now; Linux only."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * _PAGE_KIB


@contextmanager
def sidecar(file: Path, *options: str) -> Iterator[Running]:
    """Started on the file, with full synchronisation; stopped in the end."""
    command = [sys.executable, "-m", "durabletask.sidecar", "--port", "0", "--db", str(file)]
    command += options
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Running(_address_in(process.stdout.readline()), process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def _address_in(line: str) -> str:
    found = re.search(r"127\.0\.0\.1:\d+", line)
    assert found is not None, f"the sidecar did not start: {line!r}"
    return found[0]
