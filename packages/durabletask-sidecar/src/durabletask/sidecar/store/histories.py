"""Keep the encoded histories of active instances, so that a turn costs a copy and no query."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from .splicing import spliced

if TYPE_CHECKING:
    from . import Change, Key


class Histories:
    """Encoded histories of the instances used last, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, bytearray] = OrderedDict()

    def get(self, key: Key) -> bytearray | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Key, history: bytearray) -> None:
        self._kept[key] = history
        self._bytes += len(history)
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)

    def follow(self, change: Change) -> None:
        """Take over a commit, for a history that is kept; drop it when the instance ended."""
        history = self._kept.pop(change.key, None)
        if history is None:
            return
        self._bytes -= len(history)
        if change.instance is None or not change.instance.is_live:
            return
        for transition in change.transitions:
            if transition.origin is not None:
                history = bytearray()
            history += spliced(transition.events)
        self.put(change.key, history)

    def forget(self, hub: str) -> None:
        """Drop all of one task hub."""
        for key in [key for key in self._kept if key.hub == hub]:
            self._bytes -= len(self._kept.pop(key))
