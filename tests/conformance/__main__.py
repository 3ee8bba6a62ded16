"""Test an engine against the conformance checklist, and write down the results.

hatch run conformance                                  our sidecar; writes the page in docs/
hatch run conformance --engine-address localhost:4001  another engine; prints the page
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import results
from .claims import claims
from .page import failures, page

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[2] / "docs" / "internals" / "conformance.md"

# Read by tests/builders/contract.py.
_FOREIGN = "DURABLETASK_CONTRACT_ENGINE"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hatch run conformance", description=__doc__)
    parser.add_argument("--engine-address", metavar="HOST:PORT", help="the engine to test")
    parser.add_argument("--output", type=Path, help="where to write the page")
    options = parser.parse_args(argv)
    os.environ.pop(_FOREIGN, None)
    if options.engine_address:
        os.environ[_FOREIGN] = options.engine_address
    known, outcome = claims(), results.run()
    text = page(
        f"the engine at {options.engine_address}" if options.engine_address else "our sidecar",
        known,
        outcome,
    )
    _publish(text, options.output or (None if options.engine_address else PAGE))
    complaints = failures(known, outcome)
    print(*complaints, sep="\n")
    return 1 if complaints else 0


def _publish(text: str, path: Path | None) -> None:
    if path is None:
        print(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
