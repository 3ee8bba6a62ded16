"""Planted faults: one changed line of the sidecar each, which the model checking has to find.

Each is planted in a copy of the sources, and a process of its own leads lives over that copy
until one differs from the model.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .parts import Line
from .planted import FAULTS, SIDECAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .parts import Options
    from .planted import Fault

NAME = "faults"

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "packages" / "durabletask-sidecar" / "src"

_MISSED, _FOUND = 0, 1


def prove(options: Options) -> Iterator[Line]:
    # The lives are led by a processor each.
    with ThreadPoolExecutor(max_workers=2) as processes:
        found = list(processes.map(lambda fault: is_found(fault, options), FAULTS))
    for fault, was_found in zip(FAULTS, found, strict=True):
        if not was_found:
            yield Line(f"a fault: {fault.breaks}", "not found", holds=False)
    yield Line("planted faults that were found", f"{sum(found)} of {len(found)}", holds=all(found))


def is_found(fault: Fault, options: Options) -> bool:
    """Whether a life over a copy of the sources with that fault differs from the model."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(SOURCES / SIDECAR, copy / SIDECAR)
        fault.plant(copy)
        ended = subprocess.run(
            [sys.executable, "-m", "tools.prove.model", str(copy), *_amount(options)],
            cwd=ROOT,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode not in (_MISSED, _FOUND):
        raise RuntimeError(f"'{fault.breaks}' was not tried:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == _FOUND


def _amount(options: Options) -> tuple[str, str]:
    return str(options.seed), str(5 * options.examples)
