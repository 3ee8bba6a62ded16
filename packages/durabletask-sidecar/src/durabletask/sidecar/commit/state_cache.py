"""Keep the states that were used last in memory, up to so many bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from durabletask.sidecar.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.sidecar.store import Key


# Instances that have ended are kept because clients that waited for one read its result. Without
# a limit of their own they would fill the cache long after anybody asks.
ENDED_KEPT = 1_000


class Sized(Protocol):
    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        ...


S = TypeVar("S", bound=Sized)


class StateCache(Generic[S]):
    """States by their keys, read from the store when they are not held.

    Whoever changes a state in place reports it with `put`. States are dropped only by
    `discard` and `evict`, neither of which may be called between a change and its commit:
    until then the changed state is nowhere else.
    """

    def __init__(
        self, load: Callable[[Key], S | None], most_bytes: int, most_ended: int = ENDED_KEPT
    ) -> None:
        self._load = load
        self._states: Lru[Key, S] = Lru(most_bytes)
        self._ended: Lru[Key, Key] = Lru(most_ended)

    def get(self, key: Key) -> S | None:
        """The state that is held, or else the one in the store, which is held from now on."""
        held = self._states.get(key)
        if held is not None:
            return held
        loaded = self._load(key)
        if loaded is not None:
            self.put(key, loaded)
        return loaded

    def read(self, key: Key) -> S | None:
        """The same, between commits: what is too much is dropped first if the store is read."""
        held = self._states.get(key)
        if held is not None:
            return held
        self.evict()
        return self.get(key)

    def peek(self, key: Key) -> S | None:
        """The state, if it is held."""
        return self._states.peek(key)

    def put(self, key: Key, state: S) -> None:
        """Hold the state, which is new, or may have become larger; it is in use again."""
        self._ended.pop(key)
        self._states.put(key, state, state.size, evict=False)

    def demote(self, keys: Iterable[Key]) -> None:
        """Take note that these have ended: only the last `most_ended` of them are held."""
        for key in keys:
            self._ended.put(key, key, evict=False)

    def discard(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._ended.pop(key)
            self._states.pop(key)

    def discard_hub(self, hub: str) -> None:
        self.discard([key for key in self._states if key.hub == hub])

    def evict(self) -> None:
        """Drop those that were used longest ago, until the rest is within the limits."""
        for key in self._ended.evict():
            self._states.pop(key)
        for key in self._states.evict():
            self._ended.pop(key)
