"""Plain values to JSON text and back.

The text is what `json.dumps` gives by default: programs compare it, and so do histories.
datetime, Decimal, UUID, set and bytes are refused as there, because JSON could not restore
them.

SDKs before 1.7 marked every object they wrote. Instances started then may still be running,
so the mark is understood, and never written.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

_OLD_MARK = "__durabletask_autoobject__"


def encode(value: Any) -> str:
    """The value as JSON text; for any problem a TypeError that names the value's type."""
    try:
        # As the encoder writes it, in a tenth of the time. Not a subclass: it may have hooks.
        return repr(value) if type(value) is int else _encoder(value)
    except Exception as error:
        # Also ValueError (a cycle), RecursionError (too deep) and what a hook may raise.
        raise TypeError(
            f"Failed to serialize object of type '{type(value).__name__}' to JSON: {error}"
        ) from error


def _plain(value: Any) -> Any:
    """One step towards JSON for a type that `json` does not know; called again for its parts."""
    to_json = getattr(type(value), "to_json", None)
    if callable(to_json):
        return to_json(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, SimpleNamespace):
        return vars(value)
    raise TypeError(f"Object of type '{type(value).__name__}' is not JSON serializable")


# One encoder for all: `json.dumps(default=...)` makes a new one for each call, which takes longer
# than encoding a short payload.
_encoder = json.JSONEncoder(default=_plain).encode


def decode(text: str) -> Any:
    """The plain values; a marked object becomes a SimpleNamespace."""
    return _decode_marked(text) if _OLD_MARK in text else _decode(text)


def decode_plain(text: str) -> Any:
    """The plain values without marks, for callers that know the type."""
    return _decode_unmarking(text) if _OLD_MARK in text else _decode(text)


def _decode(text: str) -> Any:
    try:
        value, end = _raw_decode(text)
    except ValueError:
        return _decode_padded(text)
    return value if end == len(text) else _decode_padded(text)


def _namespace(members: dict[str, Any]) -> Any:
    return SimpleNamespace(**members) if members.pop(_OLD_MARK, False) else members


def _unmarked(members: dict[str, Any]) -> dict[str, Any]:
    members.pop(_OLD_MARK, None)
    return members


# `json.loads` with a hook makes a new decoder for each call, and a hook is called for each object.
_decode_padded = json.JSONDecoder().decode
# Half of the time of `decode`, which looks for white space around the text first.
_raw_decode = json.JSONDecoder().raw_decode
_decode_marked = json.JSONDecoder(object_hook=_namespace).decode
_decode_unmarking = json.JSONDecoder(object_hook=_unmarked).decode
