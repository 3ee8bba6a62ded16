"""States are kept in memory up to so many bytes, the last used ones longest."""

from __future__ import annotations

from dataclasses import dataclass

from durabletask.sidecar.commit.state_cache import StateCache
from durabletask.sidecar.store import Key


@dataclass
class State:
    size: int


class Stored:
    """What lies in the store, and how often it was read."""

    def __init__(self, **sizes: int) -> None:
        self.states = {Key("hub", name): State(size) for name, size in sizes.items()}
        self.reads: list[str] = []

    def load(self, key: Key) -> State | None:
        self.reads.append(key.instance_id)
        return self.states.get(key)


A, B, C = (Key("hub", name) for name in "abc")


def test_a_state_that_is_held_is_not_read_again() -> None:
    stored = Stored(a=10)
    cache = StateCache(stored.load, 100)

    assert cache.get(A) is cache.get(A)
    assert stored.reads == ["a"]


def test_the_state_that_was_used_longest_ago_is_evicted_first() -> None:
    stored = Stored(a=40, b=40, c=40)
    cache = StateCache(stored.load, 100)
    for key in (A, B, A, C):
        cache.get(key)

    cache.evict()

    assert cache.peek(B) is None
    assert cache.peek(A) is not None
    assert cache.peek(C) is not None


def test_a_state_that_has_grown_counts_with_its_new_size() -> None:
    stored = Stored(a=10, b=10)
    cache = StateCache(stored.load, 100)
    cache.get(A)
    grown = cache.get(B)
    assert grown is not None
    grown.size = 95

    cache.put(B, grown)
    cache.evict()

    assert cache.peek(A) is None
    assert cache.peek(B) is grown


def test_a_discarded_state_makes_room() -> None:
    stored = Stored(a=60, b=60)
    cache = StateCache(stored.load, 100)
    cache.get(A)
    cache.discard([A, C])
    cache.get(B)

    cache.evict()

    assert cache.peek(B) is not None


def test_one_hub_is_discarded_and_the_others_are_not() -> None:
    cache: StateCache[State] = StateCache(lambda _: None, 100)
    cache.put(A, State(1))
    cache.put(Key("other", "a"), State(1))

    cache.discard_hub("hub")

    assert cache.peek(A) is None
    assert cache.peek(Key("other", "a")) is not None


def test_of_the_ended_only_those_that_ended_last_are_held() -> None:
    cache = StateCache(Stored(a=1, b=1, c=1).load, 100, most_ended=1)
    for key in (A, B, C):
        cache.get(key)

    cache.demote((A, B))
    cache.evict()

    assert cache.peek(A) is None
    assert cache.peek(B) is not None
    assert cache.peek(C) is not None


def test_what_has_changed_or_is_new_does_not_count_as_ended() -> None:
    cache = StateCache(Stored(a=1, b=1, c=1).load, 100, most_ended=1)
    for key in (A, B, C):
        cache.get(key)
    cache.demote((A, B))

    cache.put(A, State(1))
    cache.put(B, State(2))
    cache.demote((C,))
    cache.evict()

    assert all(cache.peek(key) is not None for key in (A, B, C))
