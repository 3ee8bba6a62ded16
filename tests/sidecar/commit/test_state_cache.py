"""States are kept in memory up to so many bytes, the last used ones longest."""

from __future__ import annotations

from dataclasses import dataclass

from durabletask.sidecar.commit.state_cache import Hot
from durabletask.sidecar.store import Key


@dataclass
class State:
    size: int


class Cold:
    """What lies in the store, and how often it was read."""

    def __init__(self, **sizes: int) -> None:
        self.states = {Key("hub", name): State(size) for name, size in sizes.items()}
        self.reads: list[str] = []

    def load(self, key: Key) -> State | None:
        self.reads.append(key.instance_id)
        return self.states.get(key)


A, B, C = (Key("hub", name) for name in "abc")


def test_what_is_kept_is_not_read_again() -> None:
    cold = Cold(a=10)
    hot = Hot(cold.load, 100)

    assert hot.find(A) is hot.find(A)
    assert cold.reads == ["a"]


def test_what_was_not_used_for_longest_goes_first() -> None:
    cold = Cold(a=40, b=40, c=40)
    hot = Hot(cold.load, 100)
    for key in (A, B, A, C):
        hot.find(key)

    hot.trim()

    assert hot.peek(B) is None
    assert hot.peek(A) is not None
    assert hot.peek(C) is not None


def test_what_has_grown_counts_for_what_it_is_now() -> None:
    cold = Cold(a=10, b=10)
    hot = Hot(cold.load, 100)
    hot.find(A)
    grown = hot.find(B)
    assert grown is not None
    grown.size = 95

    hot.weigh([B])
    hot.trim()

    assert hot.peek(A) is None
    assert hot.peek(B) is grown


def test_what_is_forgotten_makes_room() -> None:
    cold = Cold(a=60, b=60)
    hot = Hot(cold.load, 100)
    hot.find(A)
    hot.forget([A, C])
    hot.find(B)

    hot.trim()

    assert hot.peek(B) is not None


def test_one_hub_is_forgotten_and_the_others_are_not() -> None:
    hot: Hot[State] = Hot(lambda _: None, 100)
    hot.put(A, State(1))
    hot.put(Key("other", "a"), State(1))

    hot.forget_hub("hub")

    assert hot.peek(A) is None
    assert hot.peek(Key("other", "a")) is not None


def test_of_the_cool_only_those_that_cooled_last_are_kept() -> None:
    hot = Hot(Cold(a=1, b=1, c=1).load, 100, most_cool=1)
    for key in (A, B, C):
        hot.find(key)

    hot.cool((A, B))
    hot.trim()

    assert hot.peek(A) is None
    assert hot.peek(B) is not None
    assert hot.peek(C) is not None


def test_what_has_changed_or_is_new_is_cool_no_more() -> None:
    hot = Hot(Cold(a=1, b=1, c=1).load, 100, most_cool=1)
    for key in (A, B, C):
        hot.find(key)
    hot.cool((A, B))

    hot.weigh((A,))
    hot.put(B, State(2))
    hot.cool((C,))
    hot.trim()

    assert all(hot.peek(key) is not None for key in (A, B, C))
