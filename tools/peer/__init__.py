"""The official SDK, in an environment of its own, to compare ours with.

It claims the same import names as our packages, so the two can never share an environment:
scripts that use it run there, and hand back what they print.

The environment is made on first use with the running Python (`tools.peer.homes` says where).
Microsoft's SDK for JavaScript is in `tools.peer.javascript`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .homes import ROOT, UnavailableError, are_required, home, install, output

__all__ = ["FOLDER", "ROOT", "VERSION", "UnavailableError", "are_required", "python", "run"]

VERSION = "1.12.0"
FOLDER = Path(__file__).resolve().parent
"""Where the scripts lie that run inside the peers' environments."""


def python() -> Path:
    """The Python that has the official SDK; made now if there is none yet."""
    interpreter = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return _executable(home(f"durabletask-{VERSION}-{interpreter}", _make))


def run(script: Path, *arguments: str, timeout: float = 600) -> str:
    """Run a script with the official SDK; returns what it printed, raises if it failed.

    It is killed after `timeout` seconds: a script that fails while an official worker runs
    would never end, for the worker's thread keeps it alive.
    """
    # -I would hide the script's own folder; this only keeps our packages out of its path.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python()), str(script), *arguments]
    return output(command, environment=environment, timeout=timeout)


def _make(there: Path) -> None:
    install(sys.executable, "-m", "venv", str(there), folder=there)
    pip = [str(_executable(there)), "-m", "pip", "--disable-pip-version-check"]
    install(*pip, "install", "--quiet", f"durabletask=={VERSION}", folder=there)


def _executable(there: Path) -> Path:
    return there / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
