"""Run our SDK on every engine, and other SDKs on ours, and write down the results.

hatch run engines    writes docs/engines.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from . import results
from .page import failures, keys, page

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def main() -> int:
    outcome = results.run(sorted({file for file, _ in keys()}))
    PAGE.write_text(page(outcome), encoding="utf-8")
    print(f"wrote {PAGE}")
    complaints = failures(outcome)
    print(*complaints, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
