"""Check what users pass where a message holds text or a time and nothing else.

The codec refuses the same values, but only when all that was asked for is sent: too late for
the line that is wrong to fail, and a turn that cannot be sent would be taken again for ever.

Clients check their arguments here too, so this module imports nothing that they do without.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from durabletask.failures.showing import shown

T = TypeVar("T")


def text(value: str, argument: str) -> str:
    """The value; TypeError if it is no str, ValueError if UTF-8 cannot hold it."""
    if not isinstance(value, str):
        raise wrong_type(argument, "a str", value)
    if not value.isascii():
        _check_surrogates(value, argument)
    return value


def optional_text(value: str | None, argument: str) -> str | None:
    """The same for an argument that may be left out."""
    if value is not None and not isinstance(value, str):
        raise wrong_type(argument, "a str or None", value)
    return value if value is None else text(value, argument)


def tags(value: Mapping[str, str] | None) -> dict[str, str] | None:
    """A copy of the tags, if there are any."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong_type("tags", "a mapping of str to str, or None", value)
    return {text(key, "a key of tags"): text(tag, f"tags[{key!r}]") for key, tag in value.items()}


def time(value: Any, argument: str) -> datetime | timedelta:
    """The value, if it is a time or a span from now."""
    if isinstance(value, (datetime, timedelta)):
        return value
    error = wrong_type(argument, "a datetime or a timedelta", value)
    if isinstance(value, (int, float)):
        raise TypeError(f"{error}. For {value} seconds write timedelta(seconds={value}).")
    raise error


def instance_of(kind: type[T], value: T, argument: str) -> T:
    """The value, if it is one of those."""
    if not isinstance(value, kind):
        raise wrong_type(argument, f"a {kind.__name__}", value)
    return value


def wrong_type(argument: str, wanted: str, value: object) -> TypeError:
    """The error for an argument that is something else than what is wanted."""
    return TypeError(f"{argument} must be {wanted}, not {shown(value)}")


def _check_surrogates(value: str, argument: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # Python writes file names and arguments that are no UTF-8 so.
        raise ValueError(
            f"{argument} holds a lone surrogate, which no message can carry: {value!r}"
        ) from error
