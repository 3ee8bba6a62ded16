"""A soak, start to end, in its short version; `hatch run soak` is the long one."""

from __future__ import annotations

from tools.soak.run import Plan, soak
from tools.soak.table import lines

PLAN = Plan(
    orchestrations=60, seconds=60, seed=1, processes=2, workers=3, sidecar_kills=1, worker_kills=2
)


async def test_a_soak_loses_nothing_and_brings_every_worker_back() -> None:
    told: list[str] = []

    result = await soak(PLAN, told.append)

    assert result.faults == []
    assert (result.sidecar_kills, result.worker_kills) == (1, 2)
    assert result.streams == result.heard == 6
    assert len(result.ledger.endings) == len(result.ledger.starts) >= PLAN.orchestrations
    assert told[-1] == "reading everything back"
    # So little work says nothing about memory; all else must hold.
    memory = "after warm-up, last half"
    assert [line for line in lines(result, PLAN) if not line.holds and line.what != memory] == []
