"""How a promise can be broken: lost, doubled or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a promise was broken."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONG = "wrong"
    """There once, but not what it should be or not where: invented, too early, changed."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, and whose it is: an instance's or an entity's."""

    kind: Kind
    of: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.of}: {self.what}"
