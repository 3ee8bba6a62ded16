"""Hypothesis strategies that several property tests share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def weighted(*weights_and_strategies: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of these, each as often as its weight; `one_of` takes equal ones for one."""
    drawn = [strategy for weight, strategy in weights_and_strategies for _ in range(weight)]
    return st.sampled_from(drawn).flatmap(lambda strategy: strategy)
