"""A short version of `hatch run prove kills`: sidecar and workers are killed under load."""

from __future__ import annotations

import pytest

from tests.prove.kills import rows, run_of

KILLS = 8


@pytest.mark.slow
async def test_kills_under_load_lose_nothing_and_double_nothing() -> None:
    run = await run_of(KILLS, seed=1)

    assert run.violations == []
    assert run.worker_kills == KILLS // 4
    assert [line for line in rows(run) if not line.holds] == []
