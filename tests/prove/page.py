"""Lay the rows of all suites out as one table, for the terminal and for `docs/`.

The page holds no times and no paths; its seed repeats the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .suites import Row

    Results = Mapping[str, Sequence[Row]]

_HEAD = """\
# Attempts to break the sidecar, and their results

Written by `hatch run prove`, which tries to make the sidecar lose something, do something twice
or crash. Shorter versions of the same attempts are among the tests of every commit.
`hatch run prove --seed {seed}` repeats the random choices of this run.

| suite | what | figure | holds |
|---|---|---|---|
"""


def page(seed: int, results: Results) -> str:
    """The whole page, in Markdown."""
    lines = [
        f"| {suite} | {each.what} | {each.figure} | {_verdict(each)} |"
        for suite, rows in results.items()
        for each in rows
    ]
    return _HEAD.format(seed=seed) + "\n".join(lines) + "\n"


def row(of: Row) -> str:
    """One line for the terminal."""
    return f"  {of.what:60} {of.figure:>24}  {_verdict(of)}"


def table(results: Results) -> str:
    """All of it for the terminal, one suite after the other."""
    return "\n".join(text for suite, rows in results.items() for text in (suite, *map(row, rows)))


def holds(results: Results) -> bool:
    """Whether every suite has rows, and all of them hold."""
    return bool(results) and all(
        rows and all(each.holds for each in rows) for rows in results.values()
    )


def _verdict(of: Row) -> str:
    return "yes" if of.holds else "**NO**"
