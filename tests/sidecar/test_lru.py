"""What was used longest ago is dropped first, and only when there is too much."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.sidecar.lru import Lru


def lru_of(*keys: str, most: int) -> Lru[str, str]:
    lru: Lru[str, str] = Lru(most)
    for key in keys:
        lru.put(key, key.upper())
    return lru


def test_what_was_put_first_is_dropped_first() -> None:
    assert list(lru_of("a", "b", "c", most=2)) == ["b", "c"]


def test_a_read_counts_as_use() -> None:
    lru = lru_of("a", "b", most=2)

    value = lru.get("a")
    lru.put("c", "C")

    assert value == "A"
    assert list(lru) == ["a", "c"]


def test_a_peek_does_not_count_as_use() -> None:
    lru = lru_of("a", "b", most=2)

    value = lru.peek("a")
    lru.put("c", "C")

    assert value == "A"
    assert list(lru) == ["b", "c"]


def test_what_is_not_there_is_none() -> None:
    lru = lru_of(most=1)

    assert (lru.get("a"), lru.peek("a"), lru.pop("a")) == (None, None, None)


def test_a_second_value_takes_the_place_of_the_first() -> None:
    lru = lru_of("a", "b", most=2)

    lru.put("a", "another")

    assert lru.get("a") == "another"
    assert len(lru) == 2


def test_the_weights_of_all_entries_stay_within_the_limit() -> None:
    lru: Lru[str, str] = Lru(10)

    for key, weight in (("a", 4), ("b", 4), ("c", 4)):
        lru.put(key, key, weight)

    assert list(lru) == ["b", "c"]
    assert lru.weight == 8


def test_an_entry_that_weighs_more_than_the_limit_is_not_kept() -> None:
    lru: Lru[str, str] = Lru(10)

    lru.put("a", "A", 11)

    assert not list(lru)
    assert lru.weight == 0


def test_as_many_entries_as_asked_for_are_kept_whatever_they_weigh() -> None:
    lru: Lru[str, str] = Lru(10, least=1)

    lru.put("a", "A", 5)
    lru.put("b", "B", 11)

    assert list(lru) == ["b"]


def test_nothing_is_dropped_before_it_is_asked_for() -> None:
    lru = lru_of("a", most=1)
    lru.put("b", "B", evict=False)

    held = list(lru)
    dropped = lru.evict()

    assert held == ["a", "b"]
    assert dropped == ["a"]
    assert list(lru) == ["b"]


def test_what_is_removed_makes_room() -> None:
    lru = lru_of("a", "b", most=2)

    removed = lru.pop("b")
    lru.put("c", "C")

    assert removed == "B"
    assert list(lru) == ["a", "c"]


def test_nothing_is_left_after_clearing() -> None:
    lru = lru_of("a", "b", most=2)

    lru.clear()

    assert not list(lru)
    assert lru.weight == 0


@pytest.mark.parametrize("least", [0, 1])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "get", "pop"]), st.sampled_from("abcd"), st.integers(0, 6)
        )
    )
)
def test_it_holds_the_longest_run_of_last_used_entries_that_is_within_the_limit(
    steps: list[tuple[str, str, int]], least: int
) -> None:
    lru: Lru[str, int] = Lru(8, least=least)
    model: OrderedDict[str, int] = OrderedDict()

    for step, key, weight in steps:
        if step == "put":
            lru.put(key, weight, weight)
            model.pop(key, None)
            model[key] = weight
            while sum(model.values()) > 8 and len(model) > least:
                model.popitem(last=False)
        elif step == "get":
            lru.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            lru.pop(key)
            model.pop(key, None)

    assert list(lru) == list(model)
    assert lru.weight == sum(model.values())
