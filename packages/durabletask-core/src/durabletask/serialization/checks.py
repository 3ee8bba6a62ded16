"""Check that text can be sent: the codec takes a `str` that UTF-8 can hold, and nothing else.

The codec refuses other values too, but only when the whole message is sent: too late to point
at the line that is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durabletask.serialization.converter import DataConverter

_LONGEST_SHOWN = 80


def text(value: str, argument: str) -> str:
    """The value; TypeError if it is not a str, ValueError if UTF-8 cannot hold it."""
    if not isinstance(value, str):
        raise wrong_type(argument, "a str", value)
    if not value.isascii():
        _check_surrogates(value, argument)
    return value


def optional_text(value: str | None, argument: str) -> str | None:
    """The same for an argument that may be None."""
    if value is not None and not isinstance(value, str):
        raise wrong_type(argument, "a str or None", value)
    return value if value is None else text(value, argument)


def serialized(value: Any, converter: DataConverter) -> str | None:
    """The value as text; TypeError if the converter returns something else."""
    content = converter.serialize(value)
    if type(content) is str and content.isascii():
        return content
    return optional_text(content, "the text from the data converter")


def wrong_type(argument: str, wanted: str, value: object) -> TypeError:
    """The error for an argument of the wrong type."""
    return TypeError(f"{argument} must be {wanted}, not {shown(value)}")


def _check_surrogates(value: str, argument: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # Python decodes file names and arguments that are not UTF-8 this way.
        raise ValueError(
            f"{argument} contains a lone surrogate, which cannot be sent: {value!r}"
        ) from error


def shown(value: object) -> str:
    """The value and its type, as in `5 (of type int)`; never raises."""
    try:
        text = repr(value)
    except BaseException:  # noqa: BLE001  # user code, and an error is being reported
        text = "..."
    if len(text) > _LONGEST_SHOWN:
        text = text[: _LONGEST_SHOWN - 3] + "..."
    return f"{text} (of type {type(value).__qualname__})"
