"""Keep the states that were used last in memory, up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.sidecar.store import Key


# States that are kept though nobody has work for them: whoever waited for an end asks what it
# was. Without a limit of their own they would fill all the room, long after anybody asks.
COOL_KEPT = 1_000


class Sized(Protocol):
    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        ...


S = TypeVar("S", bound=Sized)


class Hot(Generic[S]):
    """States by their keys, the store behind them.

    Knows nothing about what a state is. Whoever changes one in place says so by `weigh`.
    """

    def __init__(
        self, load: Callable[[Key], S | None], most_bytes: int, most_cool: int = COOL_KEPT
    ) -> None:
        self._load = load
        self._most_bytes = most_bytes
        self._most_cool = most_cool
        self._bytes = 0
        self._kept: OrderedDict[Key, tuple[S, int]] = OrderedDict()
        self._cool: OrderedDict[Key, None] = OrderedDict()

    def find(self, key: Key) -> S | None:
        """The state kept, or else the one in the store, which is kept from now on."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept[0]
        loaded = self._load(key)
        if loaded is not None:
            self.put(key, loaded)
        return loaded

    def peek(self, key: Key) -> S | None:
        """The state, if it is kept."""
        kept = self._kept.get(key)
        return None if kept is None else kept[0]

    def put(self, key: Key, state: S) -> None:
        self.forget((key,))
        size = state.size
        self._kept[key] = (state, size)
        self._bytes += size

    def weigh(self, keys: Iterable[Key]) -> None:
        """Take note of what these have grown to; they are warm again."""
        for key in keys:
            self._cool.pop(key, None)
            kept = self._kept.get(key)
            if kept is not None:
                state, before = kept
                size = state.size
                self._kept[key] = (state, size)
                self._bytes += size - before

    def cool(self, keys: Iterable[Key]) -> None:
        """Take note that nobody will change these soon: only the last of their kind are kept."""
        self._cool.update(dict.fromkeys(keys))

    def forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._cool.pop(key, None)
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._bytes -= kept[1]

    def forget_hub(self, hub: str) -> None:
        self.forget([key for key in self._kept if key.hub == hub])

    def trim(self) -> None:
        """Drop those that were not used for longest, until the rest has room."""
        while len(self._cool) > self._most_cool:
            self.forget((next(iter(self._cool)),))
        while self._bytes > self._most_bytes and self._kept:
            self.forget((next(iter(self._kept)),))
