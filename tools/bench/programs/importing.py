"""How long a statement takes in a fresh process, over a bare interpreter.

python -m tools.bench.programs.importing "import durabletask.client" TIMES
"""

from __future__ import annotations

import subprocess
import sys
import time

from tools.bench.programs.measuring import Meter

_NOTHING = "pass"


def seconds(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    statement, times = sys.argv[1], int(sys.argv[2])
    # Compiled and read from the disk once.
    seconds(statement)
    seconds(_NOTHING)
    meter = Meter()
    with meter.over(times):
        for _ in range(times):
            bare = seconds(_NOTHING)
            meter.samples.append(seconds(statement) - bare)
    meter.report()


if __name__ == "__main__":
    main()
