"""`durabletask-sidecar backup`: copy the file of a sidecar, which may go on serving it.

Knows nothing about how a copy is made.
"""

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
# Less than this is copied in a moment.
_LONG = 64 * _MIB
_STEPS = 10
# As shells have it of a command that was interrupted.
_INTERRUPTED = 128 + signal.SIGINT

_EPILOG = """\
examples:
  durabletask-sidecar backup --db tasks.db tasks-monday.db
  durabletask-sidecar --db tasks-monday.db       start on the backup: that restores it

A backup is the file of one moment after the command began: what was acknowledged before is
in it. The sidecar is not kept waiting.
"""


def run(arguments: Sequence[str]) -> int:
    """Make the copy; 0 once it is safe on the disk."""
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
    """Have SIGTERM, as service managers send it, take half a copy away as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reporter() -> Callable[[int, int], None]:
    """Says on long work how far it is, a few times in all."""
    told = 0

    def report(done: int, total: int) -> None:
        nonlocal told
        step = done * _STEPS // total if total else _STEPS
        if total >= _LONG and step > told:
            told = step
            print(f"copied {done // _MIB} of {total // _MIB} MiB", file=sys.stderr, flush=True)  # noqa: T201

    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="durabletask-sidecar backup",
        description="Copy the file of a sidecar, also while the sidecar serves it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--db", metavar="FILE", required=True, help="the sidecar's file")
    parser.add_argument("target", metavar="TARGET", help="the file to make")
    parser.add_argument(
        "--force", action="store_true", help="overwrite TARGET when it is there already"
    )
    return parser
