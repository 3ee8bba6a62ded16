"""Python environments of the peers that are Python packages: one for each pinned requirement.

They claim the same import names as our packages or the same names of messages, so none can
share an environment with ours: scripts that use one run there, and hand back what they print.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from .homes import home, install, output

if TYPE_CHECKING:
    from pathlib import Path

OFFICIAL_VERSION = "1.12.0"
OFFICIAL = f"durabletask=={OFFICIAL_VERSION}"
"""Microsoft's SDK, which our packages replace."""

DAPR = "dapr[workflow]==1.19.0"
"""Dapr's workflow SDK."""

DBOS_VERSION = "3.4.0"
DBOS = f"dbos=={DBOS_VERSION}"
"""DBOS, which keeps workflows in a database without an engine of their own."""


def python(requirement: str) -> Path:
    """The Python that has this requirement; made now with the running Python if there is none."""

    def make(there: Path) -> None:
        install(sys.executable, "-m", "venv", str(there), folder=there)
        pip = [str(_executable(there)), "-m", "pip", "--disable-pip-version-check"]
        install(*pip, "install", "--quiet", requirement, folder=there)

    name = re.sub(r"[^\w.]+", "-", requirement)
    return _executable(
        home(f"{name}-python{sys.version_info.major}.{sys.version_info.minor}", make)
    )


def run(requirement: str, script: Path, *arguments: str, timeout: float = 600) -> str:
    """Run a script in that environment; returns what it printed, raises if it failed.

    It is killed after `timeout` seconds: a script that fails while a peer's worker runs would
    never end, for the worker's thread keeps it alive.
    """
    command = [str(python(requirement)), str(script), *arguments]
    return output(command, environment=environment(), timeout=timeout)


def environment() -> dict[str, str]:
    """The variables for a process there."""
    # -I would hide the script's own folder; this only keeps our packages out of its path.
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _executable(there: Path) -> Path:
    return there / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
