"""Run every static check of the house and say which of them failed.

    hatch run check              all of them
    hatch run check lint types   only these

A check is a name and a command; a failing one shows its output and does not stop the rest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Check:
    """One command that must exit 0; `repair` is what to type when it does not."""

    name: str
    command: tuple[str, ...]
    repair: str


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


_STYLED = ("packages", "tools", "tests", "examples")

CHECKS = (
    Check("format", ("ruff", "format", "--check", *_STYLED), "ruff format ."),
    Check("lint", ("ruff", "check", *_STYLED), "ruff check --fix ."),
    Check("types", _python("-m", "mypy", "packages"), "read the errors above"),
    Check(
        "test-types",
        _python("-m", "mypy", "--config-file", "tests/mypy.ini", "tests", "tools"),
        "read the errors above",
    ),
    Check("imports", ("lint-imports",), "see design contracts in pyproject.toml"),
    Check("generated", _python("-m", "tools.generate", "--check"), "hatch run generate"),
    Check("wheels", _python("-m", "tools.check.wheels"), "read the report above"),
)


def run(check: Check) -> bool:
    """Run one check quietly; show its output only when it fails."""
    started = time.perf_counter()
    result = subprocess.run(
        check.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    passed = result.returncode == 0
    seconds = time.perf_counter() - started
    print(f"{'ok' if passed else 'FAILED':8}{check.name:14}{seconds:6.1f} s", flush=True)
    if not passed:
        print(result.stdout, f"  to repair: {check.repair}\n", sep="\n", flush=True)
    return passed


def main(argv: Sequence[str] | None = None) -> int:
    names = [check.name for check in CHECKS]
    parser = argparse.ArgumentParser(prog="hatch run check", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*names, []], help="the checks to run")
    only = parser.parse_args(argv).only
    chosen = [check for check in CHECKS if not only or check.name in only]
    failed = [check.name for check in chosen if not run(check)]
    print(f"{len(chosen) - len(failed)} checks passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
