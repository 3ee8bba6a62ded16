"""Ours beside the official SDK and DBOS: workloads that all of them run, in turn, in one run.

Every measurement is a process of its own, which checks its result. In each round every side runs
the workload once, so that whatever else the machine does meets all of them; printed are the
medians of the rounds, and ratios of medians. A run of all workloads on all sides writes
docs/performance.md. The databases are in the folder for temporary files: TMPDIR chooses the disk.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench import _page
from tools.bench._goals import GOALS
from tools.bench._machine import measure_disk
from tools.bench._report import checklist, workload_table
from tools.bench._results import Results
from tools.bench._sides import SIDES
from tools.bench._workloads import FAMILIES, default_workloads, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.bench._machine import Disk
    from tools.bench._sides import Side
    from tools.bench._workloads import Workload

_QUICK = 20
_TIMEOUT = 300.0


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        workloads = select(arguments.workloads) or default_workloads()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.quick:
        workloads = list(dict.fromkeys(workload.scaled(_QUICK) for workload in workloads))
    disk = measure_disk()
    print(f"The disk needs {disk}.", flush=True)
    results = Results()
    failures = []
    for workload in workloads:
        failures += measure(results, workload, _sides(arguments.sides), arguments)
        print(f"\n{workload.name}: {workload.family.what}\n", flush=True)
        print(workload_table(results, workload), flush=True)
    print_goals(results)
    write_files(results, workloads, disk, arguments)
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def measure(
    results: Results, workload: Workload, sides: Sequence[Side], arguments: argparse.Namespace
) -> list[str]:
    """Run all rounds of the workload; returns what failed."""
    rounds = 1 if arguments.quick else arguments.rounds or workload.family.rounds
    taking_part = [side for side in sides if side.has(workload)]
    failures = []
    for number, side in itertools.product(range(1, rounds + 1), taking_part):
        place = f"round {number} of {rounds}: {workload.name} {side.name}"
        print(f"{place} …", file=sys.stderr, flush=True)
        try:
            results.add(workload, side.name, side.measure(workload, arguments.timeout))
        except RuntimeError as error:
            failures.append(f"{place} failed: {error}")
            print(failures[-1], file=sys.stderr, flush=True)
    return failures


def print_goals(results: Results) -> None:
    """The promises that this run has figures for."""
    for title, goals in GOALS.items():
        measured = [goal for goal in goals if goal.measure(results) is not None]
        if measured:
            print(f"\n{title}\n")
            print(checklist(results, measured))


def write_files(
    results: Results, workloads: Sequence[Workload], disk: Disk, arguments: argparse.Namespace
) -> None:
    """Every measurement, if that is asked for, and the page, if all of it was measured."""
    if arguments.json:
        arguments.json.write_text(results.as_json(), encoding="utf-8")
    is_whole = not (arguments.workloads or arguments.sides or arguments.quick)
    if arguments.write or is_whole:
        _page.FILE.write_text(_page.page(results, workloads, disk), encoding="utf-8")


def _sides(names: str | None) -> list[Side]:
    return [side for name, side in SIDES.items() if names is None or name in names.split(",")]


def _side_names(text: str) -> str:
    unknown = set(text.split(",")) - set(SIDES)
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no side {', '.join(sorted(unknown))}; choose among {', '.join(SIDES)}"
        )
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a number of rounds; give 1 or more")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hatch run bench peers",
        description=__doc__,
        epilog=_explained(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help="such as chain-1000 or fan; default: all"
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        help="how often each side runs; default: 3, or 10 where it is close",
    )
    parser.add_argument(
        "--sides", type=_side_names, help="only these, separated by commas; default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, small sizes: shows only that it works"
    )
    parser.add_argument(
        "--write", action="store_true", help="write the page also when not everything was measured"
    )
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument(
        "--timeout", type=float, default=_TIMEOUT, help="seconds until a run is killed (300)"
    )
    return parser


def _explained() -> str:
    lines = ["workloads:"]
    for family in FAMILIES:
        sizes = ", ".join(map(str, family.sizes))
        lines.append(f"  {family.name:28}{family.what} ({sizes})")
    lines.append("\nsides:")
    lines += [f"  {side.name:28}{side.what}" for side in SIDES.values()]
    return "\n".join(lines)
