"""The engine durabletask-go, and programs that use Dapr's SDK for Go of the same module.

Built from `go.mod`, one environment for each content of it and of the program. The module
requires exactly one version of durabletask-go, and `go.sum` fixes what is built.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.peers.homes import UnavailableError, home, install, output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = Path(__file__).resolve().parent
"""Where `go.mod` and `go.sum` lie."""

_ENGINE = "github.com/dapr/durabletask-go"


def run(program: Path, *arguments: str, timeout: float = 300) -> str:
    """Run the program of that folder with the SDK; returns what it printed."""
    built = _built("durabletask-go-program", ".", sorted(program.glob("*.go")))
    return output([str(built), *arguments], timeout=timeout)


@contextmanager
def engine(folder: Path, port: int = 0) -> Iterator[str]:
    """Run durabletask-go on a database in this folder; yields its address.

    On a free port if none is given. What it logs goes to a file of the folder, which is kept.
    """
    command = [str(_built("durabletask-go", _ENGINE)), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--db", str(folder / "durabletask-go.db")]
    with (
        (folder / "durabletask-go.log").open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield _address(process)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = process.stdout.readline()
    found = re.search(r"listening at (\S+)", said)
    if found is None:
        raise RuntimeError(f"durabletask-go did not start: {said}")
    return found[1]


def _built(name: str, package: str, sources: Sequence[Path] = ()) -> Path:
    """The binary of this package, which the sources are if it is "."."""
    files = [FOLDER / "go.mod", FOLDER / "go.sum", *sources]
    content = b"\0".join(file.name.encode() + file.read_bytes() for file in files)

    def make(there: Path) -> None:
        if shutil.which("go") is None:
            raise UnavailableError("go is not on the path")
        # Elsewhere than here: -mod=mod may write to go.mod.
        for file in files:
            shutil.copy(file, there)
        # An older Go is to say so, and not to fetch a newer one.
        environment = {**os.environ, "GOTOOLCHAIN": "local"}
        build = ("go", "build", "-mod=mod", "-o", "program", package)
        install(*build, folder=there, environment=environment)

    return home(f"{name}-{hashlib.sha256(content).hexdigest()[:16]}", make) / "program"
