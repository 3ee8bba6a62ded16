"""Answers that come page by page, and when there is no further page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.client._asks import Flow

T = TypeVar("T")


@dataclass
class Page(Generic[T]):
    """Some of the items; `continuation_token` asks for those that follow, None at the end."""

    items: list[T]
    continuation_token: str | None


def following(token: str | None, previous: str | None) -> str | None:
    """The token to go on with after a page, or None if that page was the last.

    Engines say so by no token, an empty one, "0", or the one they were given.
    """
    return None if not token or token in ("0", previous) else token


def gather(page_after: Callable[[str | None], Flow[Page[T]]]) -> Flow[list[T]]:
    """The items of all pages; `page_after` is the flow for the page after a token."""
    items: list[T] = []
    token: str | None = None
    while True:
        page = yield from page_after(token)
        items += page.items
        token = page.continuation_token
        if token is None:
            return items
