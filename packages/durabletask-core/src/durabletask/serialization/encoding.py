"""Values into JSON text.

The text is what `json.dumps` gives by default: programs compare it, and so do histories.
datetime, Decimal, UUID, set and bytes are refused like there, because JSON would not give
them back.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any


def encode(value: Any) -> str:
    """The value as JSON text; TypeError, whatever went wrong, names the value's type."""
    try:
        return _encode(value)
    except Exception as error:
        # Also ValueError (a cycle), RecursionError (too deep) and what a hook may raise.
        raise TypeError(
            f"Failed to serialize object of type '{type(value).__name__}' to JSON: {error}"
        ) from error


def _plain(value: Any) -> Any:
    """One step towards JSON for what `json` does not know; it comes back for the parts."""
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


# One encoder for all: `json.dumps(default=...)` makes a new one a call, which costs more
# than encoding a short payload does.
_encode = json.JSONEncoder(default=_plain).encode
