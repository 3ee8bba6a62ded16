"""Where the peers' environments are kept: each is made once, on first use.

They lie in `.peer/` at the root, which tells git to ignore itself. Delete it to start anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent.parent

_REQUIRE = "DURABLETASK_REQUIRE_PEERS"
_HOMES = ROOT / ".peer"


class UnavailableError(RuntimeError):
    """This machine cannot have the peer; says what is missing."""


def are_required() -> bool:
    """Whether a peer that is missing is a failure, as it is in CI, and not a reason to skip."""
    return os.environ.get(_REQUIRE) == "1"


def home(name: str, make: Callable[[Path], None]) -> Path:
    """The environment of this name; `make` fills an empty folder with it if there is none yet."""
    there = _HOMES / name
    if not there.exists():
        _make(there, make)
    return there


def _make(there: Path, make: Callable[[Path], None]) -> None:
    _HOMES.mkdir(exist_ok=True)
    (_HOMES / ".gitignore").write_text("*\n")
    # Under another name until it is complete: a broken or a half-made one is never used.
    with tempfile.TemporaryDirectory(dir=_HOMES, ignore_cleanup_errors=True) as folder:
        unfinished = Path(folder) / "environment"
        unfinished.mkdir()
        make(unfinished)
        try:
            unfinished.rename(there)
        except OSError:
            if not there.exists():  # else another process was faster, and its work is as good
                raise
            shutil.rmtree(unfinished)


def install(*command: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command that brings a peer to this machine."""
    try:
        output(command, folder=folder, environment=environment)
    except (OSError, RuntimeError) as error:
        raise UnavailableError(str(error)) from error


def output(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Run a command; returns what it printed, raises RuntimeError if it failed or took too long."""
    told = " ".join(command)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        last = (late.stderr or b"").decode(errors="replace")
        raise RuntimeError(f"{told} did not end in {timeout} seconds:\n{last}") from late
    if done.returncode:
        raise RuntimeError(f"{told} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
