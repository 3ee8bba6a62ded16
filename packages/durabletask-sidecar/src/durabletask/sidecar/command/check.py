"""`durabletask-sidecar check`: say what is wrong with the file of a sidecar.

Knows nothing about what is right.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durabletask.sidecar.operations.integrity import Problem

_WHOLE, _WRONG = 0, 1
# Fewer are read in a moment.
_MANY = 10_000

_EPILOG = """\
What is wrong is printed, one line each: whose it is (the task hub and the instance's id, or
"file"), which rule does not hold, and why. The sidecar may go on serving the file, which is
read as it is at one moment and not changed.

exit codes: 0 all is well, 1 something is wrong, 2 the file cannot be read
"""


def run(arguments: Sequence[str]) -> int:
    """Print what is wrong; whether anything is."""
    from durabletask.sidecar.operations import integrity
    from durabletask.sidecar.store.inspection import Inspection

    path = Path(_parser().parse_args(arguments).file)
    counter = _Counter()
    wrong = 0
    with closing(Inspection(path)) as file:
        for problem in integrity.problems(file, counter.count):
            wrong += 1
            print(_line(problem), flush=True)  # noqa: T201 - a command's output
    verdict = f"{wrong} things are wrong" if wrong else "all is well"
    print(f"checked {counter.counted} instances and entities of {path}: {verdict}")  # noqa: T201
    return _WRONG if wrong else _WHOLE


def _line(problem: Problem) -> str:
    # As JSON has them, names with spaces or line ends are still one word of one line; in a
    # damaged file a name may be no text at all.
    words = [] if problem.key is None else [json.dumps(each, default=repr) for each in problem.key]
    whose = " ".join(words) or "file"
    return f"{whose} {problem.rule}: {' '.join(problem.text.split())}"


class _Counter:
    """Counts, and on long work says how far it has come."""

    def __init__(self) -> None:
        self.counted = 0

    def count(self) -> None:
        self.counted += 1
        if self.counted % _MANY == 0:
            print(f"checked {self.counted}", file=sys.stderr, flush=True)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar check",
        description="Check the file of a sidecar, and every history in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the sidecar's file, or a backup of it")
    return parser
