"""Empty environments with our built wheels in them, as a user would have.

Nothing of the source tree is visible from inside: what works here works after `pip install`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build_wheels(into: Path) -> list[Path]:
    """Build a wheel of every package of the workspace."""
    for package in sorted((ROOT / "packages").iterdir()):
        _uv("build", "--quiet", "--wheel", "--out-dir", str(into), str(package))
    return sorted(into.glob("*.whl"))


def create(at: Path) -> Path:
    """Make an empty environment; returns its Python."""
    _uv("venv", "--quiet", "--python", sys.executable, str(at))
    return at / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(python: Path, *requirements: str, wheels: Path | None = None) -> None:
    """Install into the environment of `python`; our own packages come only from `wheels`."""
    links = ["--find-links", str(wheels)] if wheels else []
    _uv("pip", "install", "--quiet", "--python", str(python), *links, *requirements)


def distributions(python: Path) -> set[str]:
    """Names of everything that is installed beside `python`."""
    listed = _uv("pip", "freeze", "--python", str(python))
    return {line.split("==")[0].split(" @ ")[0] for line in listed.splitlines()}


def _uv(*arguments: str) -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        msg = f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}"
        raise RuntimeError(msg)
    return result.stdout
