"""Check that text can travel: the codec takes a `str` that UTF-8 can hold, and nothing else.

The codec refuses other values too, but only when everything that was asked for is sent: too
late for the line that is wrong to fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durabletask.failures.showing import shown

if TYPE_CHECKING:
    from durabletask.serialization.converter import DataConverter


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


def serialized(value: Any, converter: DataConverter) -> str | None:
    """The value as text; TypeError from a converter that makes something else of it."""
    return optional_text(converter.serialize(value), "what the data converter makes of a value")


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
