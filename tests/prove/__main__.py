"""Try to make the sidecar lose something, do something twice or crash; print a table.

hatch run prove                  every suite; writes docs/internals/proof.md when all of it holds
hatch run prove model crashes    these suites only
"""

from __future__ import annotations

import argparse
import secrets
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from .page import holds, page, row, table
from .suites import Options, Row, suites

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .suites import Suite

PAGE = Path(__file__).parents[2] / "docs" / "internals" / "proof.md"


def main(argv: Sequence[str] | None = None) -> int:
    known = suites()
    namespace = _parser(known).parse_args(argv)
    unknown = [name for name in namespace.suites if name not in known]
    if unknown:
        print(f"there is no suite {', '.join(unknown)}; the suites are {', '.join(known)}")
        return 2
    options = Options(
        seed=namespace.seed or secrets.randbits(32),
        kills=namespace.kills,
        fuzz_seconds=namespace.fuzz_seconds,
        examples=namespace.examples,
    )
    print(f"seed {options.seed}")
    chosen = {name: known[name] for name in namespace.suites or known}
    results = {name: list(_rows(name, suite, options)) for name, suite in chosen.items()}
    print(f"\n{table(results)}")
    if not holds(results):
        return 1
    if len(chosen) == len(known):
        PAGE.write_text(page(options.seed, results), encoding="utf-8")
        print(f"\nwrote {PAGE}")
    return 0


def _rows(name: str, suite: Suite, options: Options) -> Iterator[Row]:
    """The rows of a suite, printed as they come; a suite that raises says so in a row."""
    print(f"{name} ...", flush=True)
    try:
        for each in suite.prove(options):
            print(row(each), flush=True)
            yield each
    except Exception as error:
        traceback.print_exc()
        yield Row("did not finish", type(error).__name__, holds=False)


def _parser(known: Mapping[str, Suite]) -> argparse.ArgumentParser:
    summaries = [f"  {name:10}{_summary(suite)}" for name, suite in known.items()]
    parser = argparse.ArgumentParser(
        prog="hatch run prove",
        description=__doc__,
        epilog="\n".join(["suites:", *summaries]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="all of them when none is named")
    parser.add_argument("--seed", type=int, default=0, help="0, the default, draws one")
    parser.add_argument("--kills", type=int, default=100, help="of processes; %(default)s")
    parser.add_argument("--fuzz-seconds", type=float, default=60.0, help="%(default)s in all")
    parser.add_argument("--examples", type=int, default=1000, help="of the model; %(default)s")
    return parser


def _summary(suite: Suite) -> str:
    return (suite.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
