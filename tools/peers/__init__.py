"""Other SDKs and another engine, to compare ours with and to let them use ours.

Here the official SDK for Python; the others, each installed on first use (`tools.peers.homes`
says where):

`dapr`        Dapr's workflow SDK for Python
`javascript`  Microsoft's and Dapr's SDKs for JavaScript
`go`          the engine durabletask-go, and the SDK for Go of the same module
`java`        Dapr's SDK for Java
"""

from __future__ import annotations

from pathlib import Path

from . import pythons
from .homes import ROOT, UnavailableError, are_required

__all__ = ["FOLDER", "ROOT", "VERSION", "UnavailableError", "are_required", "python", "run"]

VERSION = "1.12.0"
FOLDER = Path(__file__).resolve().parent
"""Where the scripts lie that run inside the peers' environments."""

_REQUIREMENT = f"durabletask=={VERSION}"


def python() -> Path:
    """The Python that has the official SDK; made now if there is none yet."""
    return pythons.python(_REQUIREMENT)


def run(script: Path, *arguments: str, timeout: float = 600) -> str:
    """Run a script with the official SDK; returns what it printed, raises if it failed."""
    return pythons.run(_REQUIREMENT, script, *arguments, timeout=timeout)
