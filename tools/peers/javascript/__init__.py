"""Microsoft's and Dapr's SDKs for JavaScript, installed from `package-lock.json`.

One environment for each content of the lock file. Nothing in it needs a compiler, and no
script of a package is run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from tools.peers.homes import UnavailableError, home, install, output

FOLDER = Path(__file__).resolve().parent

OLDEST_NODE = 20


def run(script: Path, *arguments: str, timeout: float = 300) -> str:
    """Run a script with the SDKs; returns what it printed, raises if it failed."""
    # The scripts lie in the tree and the packages do not, so Node has to be told.
    environment = {**os.environ, "NODE_PATH": str(_packages() / "node_modules")}
    return output([_node(), str(script), *arguments], environment=environment, timeout=timeout)


def _packages() -> Path:
    lock = (FOLDER / "package-lock.json").read_bytes()
    return home(f"durabletask-js-{hashlib.sha256(lock).hexdigest()[:16]}", _make)


def _make(there: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / name, there)
    # Microsoft's asks for a newer Node than it needs.
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false")
    install(_found("npm"), "ci", *options, folder=there)


def _node() -> str:
    node = _found("node")
    version = output([node, "--version"]).strip()
    major = re.match(r"v(\d+)", version)
    if major is None or int(major[1]) < OLDEST_NODE:
        raise UnavailableError(f"Node {OLDEST_NODE} is needed, and this is {version}")
    return node


def _found(program: str) -> str:
    there = shutil.which(program)
    if there is None:
        raise UnavailableError(f"{program} is not on the path: Node {OLDEST_NODE} is needed")
    return there
