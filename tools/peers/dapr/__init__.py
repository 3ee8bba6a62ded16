"""Dapr's workflow SDK for Python, in an environment of its own, to run against ours.

The scripts beside this file run there: `__main__.py` with its claims in `scenarios.py`.
"""

from __future__ import annotations

from pathlib import Path

from tools.peers import pythons

REQUIREMENT = "dapr[workflow]==1.19.0"
FOLDER = Path(__file__).resolve().parent


def run(address: str, *names: str, timeout: float = 300) -> str:
    """Play these scenarios, or all, on the engine at this address; returns what is printed."""
    return pythons.run(REQUIREMENT, FOLDER, address, *names, timeout=timeout)
