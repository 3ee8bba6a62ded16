"""`durabletask-sidecar backup`: copy the file of a sidecar, even while it is in use."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MIB = 1024 * 1024
# Progress is printed for larger files only, a few times in all.
_MIN_REPORTED = 64 * _MIB
_STEPS = 10
# As shells report a command that was interrupted.
_INTERRUPTED = 128 + signal.SIGINT

_EPILOG = """\
examples:
  durabletask-sidecar backup --db tasks.db tasks-monday.db
  durabletask-sidecar --db tasks-monday.db       restore: start a sidecar on the backup

A backup is a consistent copy of the file as it was at one moment after the command began, so
it contains everything that was acknowledged before. The sidecar goes on meanwhile.
"""


def run(arguments: Sequence[str]) -> int:
    """Make the copy; return 0 once it is written to the disk."""
    from durabletask.sidecar.store import backups

    options = _parser().parse_args(arguments)
    target = Path(options.target)
    try:
        with _interruptible():
            backups.copy(Path(options.db), target, overwrite=options.force, progress=_reporter())
    except KeyboardInterrupt:
        print("durabletask-sidecar: interrupted", file=sys.stderr)  # noqa: T201 - a command's output
        return _INTERRUPTED
    print(f"backed up {options.db} to {target}, {target.stat().st_size} bytes")  # noqa: T201 - a command's output
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM, which service managers send, remove an incomplete copy as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reporter() -> Callable[[int, int], None]:
    """Prints the progress of large files, a few times in all."""
    reported = 0

    def report(done: int, total: int) -> None:
        nonlocal reported
        step = done * _STEPS // total if total else _STEPS
        if total >= _MIN_REPORTED and step > reported:
            reported = step
            print(f"copied {done // _MIB} of {total // _MIB} MiB", file=sys.stderr, flush=True)  # noqa: T201

    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar backup",
        description="Copy the file of a sidecar, even while the sidecar uses it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--db", metavar="FILE", required=True, help="the sidecar's file")
    parser.add_argument("target", metavar="TARGET", help="the file to create")
    parser.add_argument(
        "--force", action="store_true", help="overwrite TARGET if it exists already"
    )
    return parser
