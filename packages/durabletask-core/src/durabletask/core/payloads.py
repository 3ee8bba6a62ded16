"""When a value that leaves the orchestrator becomes text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from durabletask.serialization.sendable import serialized

if TYPE_CHECKING:
    from durabletask.serialization import DataConverter

__all__ = ["Payload", "payload", "serialized", "text"]

# Text, or what makes it: see `payload`.
Payload: TypeAlias = str | Callable[[], str | None] | None

_SMALL = 2**63


def payload(value: Any, converter: DataConverter, *, replaying: bool) -> Payload:
    """The value as text, now or, where nobody can tell the difference, only if needed.

    During replay nearly every payload stands in history already. But serializing may raise at
    the place of the call, where the code may catch it, and a value may be changed after the
    call: so only what cannot do either is put off.
    """
    if value is None:
        return None
    if replaying and _is_plain(value):
        return partial(serialized, value, converter)
    return serialized(value, converter)


def text(content: Payload) -> str | None:
    """The payload as it travels."""
    return content() if callable(content) else content


def _is_plain(value: Any) -> bool:
    kind = type(value)
    # Not float: a converter may refuse NaN. Not every int: Python refuses to print the largest.
    return kind is str or kind is bool or (kind is int and -_SMALL <= value < _SMALL)
