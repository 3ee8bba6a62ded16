"""The tokens that say where the next page begins.

A token holds the key of the last item of a page, and the next one begins behind that key:
what comes and goes meanwhile neither repeats nor hides anything else.

Knows nothing about what is on the pages.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from durabletask.sidecar.engine.transition import InvalidArgument

from .errors import RefusedError

if TYPE_CHECKING:
    from typing import Any

    Key = tuple[datetime, str]

# Of what a text is told about a token that is none.
_SHOWN = 40


def behind_key(key: Key) -> str:
    """A token for what is in the order of a time and an id."""
    at, instance_id = key
    return _opaque(at.isoformat(), instance_id)


def key_of(token: str | None) -> Key | None:
    """The key in such a token; None when there is no token, as for the first page."""
    if not token:
        return None
    at, instance_id = _parts(token, 2)
    return _moment(at, token), instance_id


def behind_id(entity_id: str) -> str:
    """A token for what is in the order of ids."""
    return _opaque(entity_id)


def id_of(token: str | None) -> str:
    """The id in such a token; the empty one, which is before all, when there is no token."""
    return _parts(token, 1)[0] if token else ""


def readable_behind_key(key: Key) -> str:
    """The same as `<time>|<id>`: users of the official SDK look for the last id in it."""
    at, instance_id = key
    return f"{at.isoformat()}|{instance_id}"


def readable_key_of(token: str | None) -> Key | None:
    if not token:
        return None
    at, found, instance_id = token.partition("|")
    if not found:
        _refuse(token)
    return _moment(at, token), instance_id


def _opaque(*parts: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _parts(token: str, count: int) -> list[str]:
    try:
        found = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        _refuse(token)
    if not isinstance(found, list) or len(found) != count or not all(map(_is_text, found)):
        _refuse(token)
    return found


def _is_text(part: Any) -> bool:
    # JSON can spell halves of characters, which no store takes.
    return isinstance(part, str) and not any("\ud800" <= char <= "\udfff" for char in part)


def _moment(text: str, token: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _refuse(token)
    if at.tzinfo is None:
        _refuse(token)
    return at


def _refuse(token: str) -> NoReturn:
    text = f"the continuation token {token[:_SHOWN]!r} is none that this sidecar has given out"
    raise RefusedError(InvalidArgument(text))
