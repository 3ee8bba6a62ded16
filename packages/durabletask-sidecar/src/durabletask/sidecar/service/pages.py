"""Cut what a query finds into pages that every client can receive.

A page token holds the key of the last item of a page, and the next page begins behind that
key: items that come and go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from durabletask.protocol import codec, dialects
from durabletask.sidecar.engine.transition import InvalidArgument

from .errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import betterproto2

Key = tuple[datetime, str]
F = TypeVar("F")
M = TypeVar("M", bound="betterproto2.Message")

LARGEST = 1000
# Clients with gRPC's default take 4 MiB.
_MAX_BYTES = 3 * 1024 * 1024
# Tag and length around an item.
_FRAME = 8
# Characters of a malformed token in the text of the refusal.
_MAX_SHOWN = 40


def size(wanted: int | None) -> int:
    """How many items a page has: as many as wanted, and at most `LARGEST`."""
    return min(wanted, LARGEST) if wanted is not None and wanted > 0 else LARGEST


@dataclass(frozen=True, slots=True)
class Page(Generic[F, M]):
    """Items, and what the last one was made of if more follow."""

    items: list[M]
    last: F | None


def page(found: Iterable[F], make: Callable[[F], M], most: int) -> Page[F, M]:
    """Make at most this many items of what is found.

    A page ends before the item that would make it too large to be received. It has one item
    at least, so that a client gets past an item that is too large by itself.
    """
    items: list[M] = []
    last: F | None = None
    room = _MAX_BYTES
    for each in found:
        if len(items) == most:
            return Page(items, last)
        item = make(each)
        room -= len(codec.encode(item, dialects.TASKHUB)) + _FRAME
        if items and room < 0:
            return Page(items, last)
        items.append(item)
        last = each
    return Page(items, None)


def token_of_key(key: Key) -> str:
    """The token of an item in the order of a time and an id."""
    at, instance_id = key
    return _encoded(at.isoformat(), instance_id)


def key_of(token: str | None) -> Key | None:
    """The key in such a token; None without a token, as for the first page."""
    if not token:
        return None
    at, instance_id = _decoded(token, 2)
    return _time(at, token), instance_id


def token_of_id(entity_id: str) -> str:
    """The token of an item in the order of ids."""
    return _encoded(entity_id)


def id_of(token: str | None) -> str:
    """The id in such a token; without a token the empty one, which is before all others."""
    return _decoded(token, 1)[0] if token else ""


def readable_token_of_key(key: Key) -> str:
    """The key as `<time>|<id>`: users of the official SDK look for the last id in it."""
    at, instance_id = key
    return f"{at.isoformat()}|{instance_id}"


def key_of_readable(token: str | None) -> Key | None:
    """The key in such a token; None without a token."""
    if not token:
        return None
    at, found, instance_id = token.partition("|")
    if not found:
        _refuse(token)
    return _time(at, token), instance_id


def _encoded(*parts: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _decoded(token: str, count: int) -> list[str]:
    try:
        found = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        _refuse(token)
    if not isinstance(found, list) or len(found) != count or not all(map(_is_text, found)):
        _refuse(token)
    return found


def _is_text(part: Any) -> bool:
    # JSON can hold half of a surrogate pair, which no store takes.
    return isinstance(part, str) and not any("\ud800" <= char <= "\udfff" for char in part)


def _time(text: str, token: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _refuse(token)
    if at.tzinfo is None:
        _refuse(token)
    return at


def _refuse(token: str) -> NoReturn:
    text = (
        f"the continuation token {token[:_MAX_SHOWN]!r} was not issued by this sidecar; "
        "begin with the first page"
    )
    raise RefusedError(InvalidArgument(text))
