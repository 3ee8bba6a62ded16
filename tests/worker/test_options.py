from __future__ import annotations

import os

import pytest

from durabletask.worker import ConcurrencyOptions

LIMITS = [
    "maximum_concurrent_activity_work_items",
    "maximum_concurrent_orchestration_work_items",
    "maximum_concurrent_entity_work_items",
    "maximum_thread_pool_workers",
]


def test_the_defaults_are_the_official_ones() -> None:
    cpus = os.cpu_count() or 1

    options = ConcurrencyOptions()

    assert [getattr(options, limit) for limit in LIMITS] == [100 * cpus] * 3 + [cpus + 4]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("value", [0, -1, 1.5, "5", True])
def test_a_limit_below_one_is_refused_by_name(limit: str, value: object) -> None:
    with pytest.raises(ValueError, match=limit):
        ConcurrencyOptions(**{limit: value})  # type: ignore[arg-type]


def test_a_limit_is_checked_when_it_is_changed_too() -> None:
    options = ConcurrencyOptions()

    with pytest.raises(ValueError, match="maximum_thread_pool_workers"):
        options.maximum_thread_pool_workers = 0
