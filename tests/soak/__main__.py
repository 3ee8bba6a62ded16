"""Keep 200 workers and one sidecar busy for minutes, kill them now and then, print a table.

hatch run soak                      5,000 orchestrations of mixed kinds, five minutes at most
hatch run soak --full               20,000 orchestrations, half an hour at most
hatch run soak --minutes 1 --orchestrations 500

Exit code 1 if something is lost, doubled or wrong, if the sidecar's memory goes on growing, if
a worker has not come back, or if the time was over before all orchestrations were started.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from typing import TYPE_CHECKING

from tests.prove.page import holds, table

from .run import Plan, soak
from .table import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOUNDED, _FULL = (5_000, 5.0), (20_000, 30.0)
_MOST_FAULTS_SHOWN = 20


def main(argv: Sequence[str] | None = None) -> int:
    plan = _plan(_parser().parse_args(argv))
    print(f"seed {plan.seed}", flush=True)
    result = asyncio.run(soak(plan, tell=lambda line: print(line, flush=True)))
    for violation in result.violations[:_MOST_FAULTS_SHOWN]:
        print(violation)
    figures = {"soak": list(rows(result, plan))}
    print(table(figures))
    return 0 if holds(figures) else 1


def _plan(options: argparse.Namespace) -> Plan:
    orchestrations, minutes = _FULL if options.full else _BOUNDED
    return Plan(
        orchestrations=options.orchestrations or orchestrations,
        seconds=60 * (options.minutes or minutes),
        seed=options.seed or secrets.randbits(32),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hatch run soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="the long version")
    parser.add_argument("--orchestrations", type=int, help="how many are started")
    parser.add_argument("--minutes", type=float, help="when to start no more of them")
    parser.add_argument("--seed", type=int, default=0, help="0, the default, draws one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
