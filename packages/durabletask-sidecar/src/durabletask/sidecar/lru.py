"""A mapping that drops what was used longest ago once it holds more than it may.

What is held is counted in entries, or in bytes when each entry is stored with its size as
its weight.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Holds entries whose weights sum up to at most `most`.

    The `least` entries that were used last stay, whatever they weigh.
    """

    def __init__(self, most: int, *, least: int = 0) -> None:
        self._most = most
        self._least = least
        self.weight = 0
        """The sum of the weights of all entries; to be read only."""
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        """The keys, from the one used longest ago to the one used last."""
        return iter(self._entries)

    def get(self, key: K) -> V | None:
        """The value of the key, which is now the one used last."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def peek(self, key: K) -> V | None:
        """The value of the key; this does not count as use."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, weight: int = 1, *, evict: bool = True) -> None:
        """Store the value under the key, which is now the one used last.

        With `evict=False` nothing is dropped before `evict` is called.
        """
        before = self._entries.get(key)
        if before is not None:
            self.weight -= before[1]
            self._entries.move_to_end(key)
        self._entries[key] = (value, weight)
        self.weight += weight
        if evict and self.weight > self._most:
            self.evict()

    def pop(self, key: K) -> V | None:
        """Remove the key; returns its value, or None when there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.weight -= entry[1]
        return entry[0]

    def clear(self) -> None:
        """Remove everything."""
        self._entries.clear()
        self.weight = 0

    def evict(self) -> list[K]:
        """Drop what was used longest ago until the rest is within the limit.

        Returns the keys that were dropped.
        """
        dropped: list[K] = []
        while self.weight > self._most and len(self._entries) > self._least:
            key, (_, weight) = self._entries.popitem(last=False)
            self.weight -= weight
            dropped.append(key)
        return dropped
