"""The one check that all options share."""

from __future__ import annotations

from typing import Any


def require_at_least(options: Any, limits: dict[str, float]) -> None:
    """Raise ValueError naming the first option that is below its limit."""
    for name, limit in limits.items():
        if getattr(options, name) < limit:
            raise ValueError(f"{name} must be >= {limit}")


def require_positive(options: Any, *names: str) -> None:
    """Raise ValueError naming the first of these options that is not above zero."""
    for name in names:
        if getattr(options, name) <= 0:
            raise ValueError(f"{name} must be > 0")
