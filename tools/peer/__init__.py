"""The official SDK, in an environment of its own, to compare ours with.

It claims the same import names as our packages, so the two can never share an environment:
scripts that use it run there, and hand back what they print.

The environment is made on first use with the running Python, in `.peer/` at the root, which
tells git to ignore itself. Delete that folder to start anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "1.12.0"
ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(__file__).resolve().parent
"""Where the scripts lie that run inside the peer's environment."""

_FOLDER = ROOT / ".peer"


def python() -> Path:
    """The Python that has the official SDK; made now if there is none yet."""
    interpreter = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = _FOLDER / f"durabletask-{VERSION}-{interpreter}"
    if not home.exists():
        _make(home)
    return _executable(home)


def run(script: Path, *arguments: str, timeout: float = 600) -> str:
    """Run a script with the official SDK; returns what it printed, raises if it failed.

    It is killed after `timeout` seconds: a script that fails while an official worker runs
    would never end, for the worker's thread keeps it alive.
    """
    command = [str(python()), str(script), *arguments]
    # -I would hide the script's own folder; this only keeps our packages out of its path.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=timeout
        )
    except subprocess.TimeoutExpired as late:
        told = (late.stderr or b"").decode(errors="replace")
        raise RuntimeError(f"{script.name} did not end in {timeout} seconds:\n{told}") from late
    if done.returncode:
        raise RuntimeError(f"{script.name} failed in the peer's environment:\n{done.stderr}")
    return done.stdout


def _make(home: Path) -> None:
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / ".gitignore").write_text("*\n")
    # Under another name until it is complete: a broken or a half-made one is never used.
    with tempfile.TemporaryDirectory(dir=_FOLDER, ignore_cleanup_errors=True) as folder:
        unfinished = Path(folder) / "environment"
        _checked(sys.executable, "-m", "venv", str(unfinished))
        pip = [str(_executable(unfinished)), "-m", "pip", "--disable-pip-version-check"]
        _checked(*pip, "install", "--quiet", f"durabletask=={VERSION}")
        try:
            unfinished.rename(home)
        except OSError:
            if not home.exists():  # else another process was faster, and its work is as good
                raise
            shutil.rmtree(unfinished)


def _executable(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
