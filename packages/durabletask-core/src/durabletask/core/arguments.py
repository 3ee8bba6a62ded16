"""Check arguments that a message can hold only as text or as a time.

The codec refuses the same values, but only when the whole turn is sent: too late to point at
the line that is wrong, and a turn that cannot be sent would be repeated forever.

Clients check their arguments here too, so this module imports only what clients need anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from durabletask.serialization.checks import optional_text, text, wrong_type

__all__ = ["instance_of", "optional_text", "tags", "text", "time", "wrong_type"]

T = TypeVar("T")


def tags(value: Mapping[str, str] | None) -> dict[str, str] | None:
    """A copy of the tags, if there are any."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong_type("tags", "a mapping of str to str, or None", value)
    return {text(key, "a key of tags"): text(tag, f"tags[{key!r}]") for key, tag in value.items()}


def time(value: Any, argument: str) -> datetime | timedelta:
    """The value; TypeError if it is neither a time nor a span from now."""
    if isinstance(value, (datetime, timedelta)):
        return value
    error = wrong_type(argument, "a datetime or a timedelta", value)
    if isinstance(value, (int, float)):
        raise TypeError(f"{error}. For {value} seconds write timedelta(seconds={value}).")
    raise error


def instance_of(kind: type[T], value: T, argument: str) -> T:
    """The value; TypeError if it is not an instance of that class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise wrong_type(argument, f"{article} {kind.__name__}", value)
    return value
