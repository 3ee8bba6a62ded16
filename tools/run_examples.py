"""Run `examples/README.md` with mechanical-markdown against a sidecar of its own.

mechanical-markdown passes a step whose block is not a shell block without running anything, so
the number of commands it would run is compared with the number of steps first.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from mechanical_markdown import MechanicalMarkdown  # type: ignore[import-untyped]

from durabletask.sidecar import Sidecar

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_SHELL = "bash -e -o pipefail -c"


def empty_steps(markdown: str) -> list[str]:
    """Names of the steps that would pass without running a command."""
    steps = re.findall(r"<!-- STEP(.*?)END_STEP -->", markdown, re.DOTALL)
    return [
        step.strip().splitlines()[0]
        for step in steps
        if not re.search(r"```(bash|sh)\n.*?\S.*?```", step, re.DOTALL)
    ]


def main() -> int:
    markdown = (_EXAMPLES / "README.md").read_text()
    if empty := empty_steps(markdown):
        print(f"these steps run nothing: {', '.join(empty)}", file=sys.stderr)
        return 1
    with Sidecar() as address:
        os.environ["DURABLETASK_ENDPOINT"] = address
        os.chdir(_EXAMPLES)
        success, report = MechanicalMarkdown(markdown, _SHELL).execute_steps(False)
    print(report)
    return 0 if success else 1


if __name__ == "__main__":
    sys.exit(main())
