"""A run in which nothing happened has proved nothing, and its table says so."""

from __future__ import annotations

from tests.load.evidence import Evidence
from tests.load.faults import Kind
from tests.load.ledger import Ledger
from tests.prove import backups, kills
from tests.soak.run import Plan, Soak
from tests.soak.table import lines

FAULTS = {kind.value for kind in Kind}
PLAN = Plan(orchestrations=1, seconds=1, seed=1)


def test_nobody_was_killed_and_nothing_started() -> None:
    nothing = kills.Run(0, 0, Ledger(), Evidence(), [])

    assert {line.what for line in kills.lines(nothing) if line.holds} == FAULTS


def test_no_backup_was_taken() -> None:
    assert not any(line.holds for line in list(backups.lines([], []))[:3])


def test_a_soak_of_nothing() -> None:
    nothing = Soak(Ledger(), seconds=1.0, evidence=Evidence())

    holding = {line.what for line in lines(nothing, PLAN) if line.holds}

    figures = {"in seconds", "processor seconds used, of cores", "sidecar's memory at start"}
    assert holding == FAULTS | figures
