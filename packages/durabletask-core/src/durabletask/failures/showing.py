"""Values as error texts show them: short, with their type, whatever they are like."""

from __future__ import annotations

_LONGEST = 80


def shown(value: object) -> str:
    """The value and its type, as in `5 (of type int)`; never raises."""
    try:
        told = repr(value)
    except BaseException:  # noqa: BLE001  # user code, and an error is being reported
        told = "..."
    if len(told) > _LONGEST:
        told = told[: _LONGEST - 3] + "..."
    return f"{told} (of type {type(value).__qualname__})"
