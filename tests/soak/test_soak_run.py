"""A soak, start to end, in its short version; `hatch run soak` is the long one."""

from __future__ import annotations

import pytest

from tests.soak.run import Plan, soak
from tests.soak.table import rows

# The time is no part of it: on a slow machine it takes as long as it takes.
PLAN = Plan(
    orchestrations=60, seconds=6e3, seed=1, processes=2, workers=3, sidecar_kills=1, worker_kills=2
)
# So little work says nothing about memory.
MEMORY = {"after warm-up, last half", "sidecar's memory at end"}


@pytest.mark.slow
async def test_a_soak_loses_nothing_and_brings_every_worker_back() -> None:
    told: list[str] = []

    result = await soak(PLAN, told.append)

    assert result.violations == []
    assert (result.sidecar_kills, result.worker_kills) == (1, 2)
    assert result.streams == result.heard == 6
    assert (
        len(result.expectations.endings) == len(result.expectations.starts) >= PLAN.orchestrations
    )
    assert told[-1] == "reading everything back"
    assert [each for each in rows(result, PLAN) if not each.holds and each.what not in MEMORY] == []
