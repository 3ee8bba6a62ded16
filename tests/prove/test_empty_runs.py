"""A run in which nothing happened has proved nothing, and its table says so."""

from __future__ import annotations

from tests.load.expectations import Expectations
from tests.load.observations import Observations
from tests.load.violations import Kind
from tests.prove import backups, kills
from tests.soak.run import Plan, Soak
from tests.soak.table import rows

VIOLATIONS = {kind.value for kind in Kind}
PLAN = Plan(orchestrations=1, seconds=1, seed=1)


def test_nobody_was_killed_and_nothing_started() -> None:
    nothing = kills.Run(0, 0, Expectations(), Observations(), [])

    assert {line.what for line in kills.rows(nothing) if line.holds} == VIOLATIONS


def test_no_backup_was_taken() -> None:
    assert not any(line.holds for line in list(backups.rows([], []))[:3])


def test_a_soak_of_nothing() -> None:
    nothing = Soak(Expectations(), seconds=1.0, observations=Observations())

    holding = {line.what for line in rows(nothing, PLAN) if line.holds}

    figures = {"in seconds", "processor seconds used, of cores", "sidecar's memory at start"}
    assert holding == VIOLATIONS | figures
