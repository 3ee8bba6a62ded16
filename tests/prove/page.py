"""Lay the lines of all parts out as one table, for the terminal and for `docs/`.

The page holds no times and no paths; its seed leads the same lives again.

Knows nothing about how anything is proved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .parts import Line

    Results = Mapping[str, Sequence[Line]]

_HEAD = """\
# What was tried on the sidecar, and what came of it

Written by `hatch run prove`, which tries to make the sidecar lose something, do something twice
or fall over. The same attempts, in short versions, are among the tests of every commit.
`hatch run prove --seed {seed}` begins every random choice where this run began.

| part | what | figure | holds |
|---|---|---|---|
"""


def page(seed: int, results: Results) -> str:
    """The whole page, in Markdown."""
    rows = [
        f"| {part} | {line.what} | {line.figure} | {_verdict(line)} |"
        for part, lines in results.items()
        for line in lines
    ]
    return _HEAD.format(seed=seed) + "\n".join(rows) + "\n"


def row(line: Line) -> str:
    """One line for the terminal."""
    return f"  {line.what:60} {line.figure:>24}  {_verdict(line)}"


def table(results: Results) -> str:
    """All of it for the terminal, where the parts follow one another."""
    return "\n".join(
        text for part, lines in results.items() for text in (part, *(row(line) for line in lines))
    )


def holds(results: Results) -> bool:
    """Whether every part found something to say, and nothing to complain about."""
    return bool(results) and all(
        lines and all(line.holds for line in lines) for lines in results.values()
    )


def _verdict(line: Line) -> str:
    return "yes" if line.holds else "**NO**"
