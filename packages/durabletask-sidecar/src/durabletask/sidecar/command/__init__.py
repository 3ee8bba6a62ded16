"""The command `durabletask-sidecar`: which word runs which sub-command.

Without a sub-command it serves. When a sub-command cannot start, it prints one line with the
reason and exits with code 2.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from durabletask.sidecar.operations.metrics import MissingExtraError
from durabletask.sidecar.security import SecurityError
from durabletask.sidecar.store import StoreError

from .backup import run as run_backup
from .check import run as run_check
from .config import ConfigError
from .exec import run as run_exec
from .serve import run as run_serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CANNOT_START = 2

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "serve": run_serve,
    "exec": run_exec,
    "backup": run_backup,
    "check": run_check,
}
"""Each takes its arguments and returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    run = COMMANDS.get(arguments[0]) if arguments else None
    try:
        return run_serve(arguments) if run is None else run(arguments[1:])
    except (StoreError, SecurityError, ConfigError, MissingExtraError, OSError) as error:
        print(f"durabletask-sidecar: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return _CANNOT_START
