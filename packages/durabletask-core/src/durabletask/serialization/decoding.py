"""JSON text into plain values.

SDKs before 1.7 marked every object they wrote. Instances started then may still be running,
so the mark is understood, and never written.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

_OLD_MARK = "__durabletask_autoobject__"


def decode(text: str) -> Any:
    """The values as JSON has them; a marked object is a SimpleNamespace."""
    return (_decode_marked if _OLD_MARK in text else _decode)(text)


def decode_plain(text: str) -> Any:
    """The values as JSON has them; marks are dropped, for the reader knows the type."""
    return (_decode_unmarking if _OLD_MARK in text else _decode)(text)


def _namespace(members: dict[str, Any]) -> Any:
    return SimpleNamespace(**members) if members.pop(_OLD_MARK, False) else members


def _unmarked(members: dict[str, Any]) -> dict[str, Any]:
    members.pop(_OLD_MARK, None)
    return members


# `json.loads` with a hook makes a new decoder a call; and a hook costs a call an object.
_decode = json.JSONDecoder().decode
_decode_marked = json.JSONDecoder(object_hook=_namespace).decode
_decode_unmarking = json.JSONDecoder(object_hook=_unmarked).decode
