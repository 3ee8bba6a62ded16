"""Planted faults: one changed line of the sidecar each, which the model checking must find.

Each is planted in a copy of the sources, and a process of its own runs the state machine over
that copy until it differs from the model. A copy without a fault goes first: a difference there
has another cause, and would be found in every other copy too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .model import ALIKE, DIFFERENT
from .planted import FAULTS, SIDECAR
from .suites import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .planted import Fault
    from .suites import Options

NAME = "faults"

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "packages" / "durabletask-sidecar" / "src"

# Examples over the copy without a fault; the model checking itself runs many more.
_FEW = 10


def prove(options: Options) -> Iterator[Row]:
    nothing_found = not is_found(None, replace(options, examples=_FEW))
    yield Row(
        "found where none was planted",
        "nothing" if nothing_found else "a difference",
        nothing_found,
    )
    found = 0
    # Each copy is checked by a processor of its own.
    with ThreadPoolExecutor(max_workers=2) as processes:
        tried = processes.map(lambda fault: is_found(fault, options), FAULTS)
        for number, (fault, was_found) in enumerate(zip(FAULTS, tried, strict=True), start=1):
            found += was_found
            print(
                f"  {number} of {len(FAULTS)} planted, {found} found", file=sys.stderr, flush=True
            )
            if not was_found:
                yield Row(f"a fault: {fault.breaks}", "not found", holds=False)
    every = found == len(FAULTS)
    yield Row("planted faults that were found", f"{found} of {len(FAULTS)}", holds=every)


def is_found(fault: Fault | None, options: Options) -> bool:
    """Whether a run over a copy of the sources with that fault differs from the model.

    Raises RuntimeError when no life could be led.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(SOURCES / SIDECAR, copy / SIDECAR)
        if fault is not None:
            fault.plant(copy)
        ended = subprocess.run(
            [sys.executable, "-m", "tests.prove.model", str(copy), *_amount(options)],
            cwd=ROOT,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode not in (ALIKE, DIFFERENT):
        breaks = "nothing" if fault is None else fault.breaks
        raise RuntimeError(f"'{breaks}' was not tried:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == DIFFERENT


def _amount(options: Options) -> tuple[str, str]:
    return str(options.seed), str(5 * options.examples)
