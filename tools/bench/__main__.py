"""Run one benchmark by name; each prints its figures beside a peer's from the same run.

hatch run bench              lists them
hatch run bench peers --help
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Name and first line of the docstring of every module here that has a `main`."""
    found = {}
    for file in sorted(_HERE.glob("*.py")):
        module = import_module(f"tools.bench.{file.stem}") if file.stem[0] != "_" else None
        if hasattr(module, "main"):
            found[file.stem] = (module.__doc__ or "").strip().splitlines()[0]
    return found


def main(argv: Sequence[str]) -> int:
    known = benchmarks()
    name = argv[0] if argv else ""
    if name not in known:
        for each, summary in known.items():
            print(f"{each:12}{summary}")
        return 0 if name in ("", "-h", "--help") else 2
    return int(import_module(f"tools.bench.{name}").main(list(argv[1:])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
