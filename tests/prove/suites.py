"""What a suite of `hatch run prove` is: one module of this folder, and the table rows it fills.

A suite has `NAME`, and `prove(options)`, which yields its rows as it finds them. A short version
of each is a test and runs the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Options:
    """How much is tried, and the seed of every random choice."""

    seed: int
    kills: int = 100
    fuzz_seconds: float = 60.0
    examples: int = 1000
    """Runs of the state machine in the model checking."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what was examined, what was found, and whether that is right."""

    what: str
    figure: str
    holds: bool


class Suite(Protocol):
    """A module of this folder that proves something."""

    NAME: str
    __doc__: str | None

    def prove(self, options: Options) -> Iterator[Row]:
        """Try it; yields the rows as they are known."""
        ...


def suites() -> dict[str, Suite]:
    """Every suite, by name."""
    modules = (
        import_module(f"tests.prove.{file.stem}")
        for file in sorted(_HERE.glob("*.py"))
        if not file.stem.startswith("_")
    )
    found = (cast("Suite", module) for module in modules if hasattr(module, "prove"))
    return {suite.NAME: suite for suite in found}
