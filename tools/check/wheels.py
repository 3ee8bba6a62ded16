"""Check the built wheels as a user meets them: what they pull in, and how they type-check.

* `durabletask-client` alone schedules, and brings neither worker nor sidecar nor google.protobuf;
  adding `durabletask-worker` hosts.
* mypy strict and pyright accept the examples and `tests/typing/good`, and report exactly the
  marked lines of `tests/typing/bad`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tools import environments
from tools.check import installation, user_typing


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder, "wheels")
        environments.build_wheels(wheels)
        complaints = [
            *installation.complaints(wheels, Path(folder)),
            *user_typing.complaints(wheels, Path(folder)),
        ]
    print("\n".join(complaints) or "the wheels install, run and type-check")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
