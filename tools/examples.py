"""Run `examples/README.md` with mechanical-markdown against an engine of its own.

hatch run examples                           our sidecar
hatch run examples --engine durabletask-go   durabletask-go, on a free port too

The page and the examples are the same on both, and find out by themselves whom they talk to.

mechanical-markdown passes a step whose block is not a shell block without running anything, so
the number of commands it would run is compared with the number of steps first.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mechanical_markdown import MechanicalMarkdown  # type: ignore[import-untyped]

from durabletask.sidecar import Sidecar

from .peers import go
from .peers.homes import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_SHELL = "bash -e -o pipefail -c"


def empty_steps(markdown: str) -> list[str]:
    """Names of the steps that would pass without running a command."""
    steps = re.findall(r"<!-- STEP(.*?)END_STEP -->", markdown, re.DOTALL)
    return [
        step.strip().splitlines()[0]
        for step in steps
        if not re.search(r"```(bash|sh)\n.*?\S.*?```", step, re.DOTALL)
    ]


@contextmanager
def _durabletask_go() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, go.engine(Path(folder)) as address:
        yield address


_ENGINES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "durabletask-sidecar": Sidecar,
    "durabletask-go": _durabletask_go,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hatch run examples", description=__doc__)
    parser.add_argument("--engine", choices=_ENGINES, default="durabletask-sidecar")
    engine = parser.parse_args(argv).engine
    markdown = (_EXAMPLES / "README.md").read_text()
    if empty := empty_steps(markdown):
        print(f"these steps run nothing: {', '.join(empty)}", file=sys.stderr)
        return 1
    try:
        with _ENGINES[engine]() as address:
            success, report = _run(markdown, address)
    except UnavailableError as missing:
        print(f"{engine} cannot be had on this machine: {missing}", file=sys.stderr)
        return 1
    print(report)
    return 0 if success else 1


def _run(markdown: str, address: str) -> tuple[bool, str]:
    os.environ["DURABLETASK_ENDPOINT"] = address
    os.environ.pop("DURABLETASK_DIALECT", None)
    os.chdir(_EXAMPLES)
    success, report = MechanicalMarkdown(markdown, _SHELL).execute_steps(False)
    return success, report


if __name__ == "__main__":
    sys.exit(main())
