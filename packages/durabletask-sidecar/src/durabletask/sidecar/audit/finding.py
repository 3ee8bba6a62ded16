"""What is said of something that cannot be as it should."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that does not hold."""

    rule: str
    text: str
