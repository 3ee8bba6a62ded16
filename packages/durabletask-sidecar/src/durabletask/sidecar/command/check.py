"""`durabletask-sidecar check`: print what is wrong with the file of a sidecar."""

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

_SOUND, _DAMAGED = 0, 1
# How many instances and entities are checked before the progress is printed again.
_STEP = 10_000

_EPILOG = """\
Each problem is printed on one line: where it is (the task hub and the instance id, or "file"),
which rule is broken, and how. The file is not changed. It may be in use by a sidecar: what is
checked is its content at one moment.

exit codes: 0 no problems, 1 problems were found, 2 the file cannot be read
"""


def run(arguments: Sequence[str]) -> int:
    """Print all problems; return the exit code."""
    from durabletask.sidecar.operations import integrity
    from durabletask.sidecar.store.inspection import Inspection

    path = Path(_parser().parse_args(arguments).file)
    counter = _Counter()
    found = 0
    with closing(Inspection(path)) as file:
        for problem in integrity.problems(file, counter.count):
            found += 1
            print(_line(problem), flush=True)  # noqa: T201 - a command's output
    checked = f"checked {counter.counted} instances and entities of {path}"
    print(f"{checked}, problems found: {found or 'none'}")  # noqa: T201 - a command's output
    return _DAMAGED if found else _SOUND


def _line(problem: Problem) -> str:
    # As JSON, a name with spaces or line ends stays on the line; in a damaged file a name may
    # be something other than text.
    words = [] if problem.key is None else [json.dumps(each, default=repr) for each in problem.key]
    place = " ".join(words) or "file"
    return f"{place} {problem.rule}: {' '.join(problem.text.split())}"


class _Counter:
    """Counts what is checked, and prints the progress of large files."""

    def __init__(self) -> None:
        self.counted = 0

    def count(self) -> None:
        self.counted += 1
        if self.counted % _STEP == 0:
            print(f"checked {self.counted}", file=sys.stderr, flush=True)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar check",
        description="Check the file of a sidecar for damage, and every history in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the sidecar's file, or a backup of it")
    return parser
