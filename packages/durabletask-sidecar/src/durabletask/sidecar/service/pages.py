"""Cut what is found into pages that every client can receive.

Knows nothing about what the items are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from durabletask.protocol import codec, dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import betterproto2

F = TypeVar("F")
M = TypeVar("M", bound="betterproto2.Message")

LARGEST = 1000
# Clients with gRPC's default take 4 MiB.
_MOST_BYTES = 3 * 1024 * 1024
# Tag and length around an item.
_FRAME = 8


def size(wanted: int | None) -> int:
    """How many items a page has; the most there may be unless a caller wants fewer."""
    return min(wanted, LARGEST) if wanted is not None and wanted > 0 else LARGEST


@dataclass(frozen=True, slots=True)
class Page(Generic[F, M]):
    """Items, and what the last one was made of if there are more."""

    items: list[M]
    last: F | None


def page(found: Iterable[F], make: Callable[[F], M], most: int) -> Page[F, M]:
    """Make items of what is found, up to so many.

    A page ends before the item that would make it too large to be received, but it has
    one item at least: nobody would ever get past it otherwise.
    """
    items: list[M] = []
    last: F | None = None
    room = _MOST_BYTES
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
