"""What a part of the proof is: one module of this folder, and the lines of the table it fills.

A part has `NAME`, and `prove(options)`, which yields its lines as it comes to know them. Its
short version stands in `tests/` and runs the same code.
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
    """How much is tried, and where chance begins."""

    seed: int
    kills: int = 100
    fuzz_seconds: float = 60.0
    examples: int = 1000
    """Lives that the model checking leads."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was looked at, what came of it, and whether that is well."""

    what: str
    figure: str
    holds: bool


class Part(Protocol):
    """A module of this folder that proves something."""

    NAME: str
    __doc__: str | None

    def prove(self, options: Options) -> Iterator[Line]:
        """Try it; the lines come as they are known."""
        ...


def parts() -> dict[str, Part]:
    """Every part that there is, by name."""
    modules = (
        import_module(f"tests.prove.{file.stem}")
        for file in sorted(_HERE.glob("*.py"))
        if not file.stem.startswith("_")
    )
    found = (cast("Part", module) for module in modules if hasattr(module, "prove"))
    return {part.NAME: part for part in found}
