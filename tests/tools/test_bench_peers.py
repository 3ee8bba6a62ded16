"""`hatch run bench peers`: what it makes of its arguments and its figures."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durabletask.sidecar.store.sqlite import SqliteStore
from tools.bench import peers
from tools.bench._goals import GOALS, Goal
from tools.bench._machine import Disk
from tools.bench._page import page
from tools.bench._report import checklist, number, workload_table
from tools.bench._results import Measurement, Results
from tools.bench._sides import SIDES, Side
from tools.bench._workloads import FAMILIES, Job, Workload, default_workloads, select
from tools.bench.programs import slow_commits

(CHAIN,) = select(["chain-100"])
_OF_THE_OFFICIAL_WORKER = [each for each in FAMILIES if each.name.startswith("official-worker")]
(LATENCY,) = select(["latency"])


def measured(seconds: float = 1.0, units: int = 100, **others: Any) -> Measurement:
    values: dict[str, Any] = {"cpu_seconds": 0.5, "peak_bytes": 1 << 20, "samples": ()}
    return Measurement(seconds=seconds, units=units, **(values | others))


def results(workload: Workload, **sides: list[Measurement]) -> Results:
    found = Results()
    for side, measurements in sides.items():
        for measurement in measurements:
            found.add(workload, side, measurement)
    return found


def names(*asked: str) -> list[str]:
    return [workload.name for workload in select(asked)]


def test_a_workload_is_chosen_by_family_by_size_or_by_the_start_of_its_name() -> None:
    assert names("chain-50") == ["chain-50"]
    assert names("fan") == ["fan-100", "fan-1000", "fan-5000"]
    assert names("official-worker") == [
        "official-worker-throughput-1000",
        "official-worker-fan-1000",
    ]
    assert names("fan-10", "latency") == ["fan-10", "latency-100"]


@pytest.mark.parametrize("name", ["chains", "chain-", "chain-0", "chain--1", "-100", ""])
def test_a_name_that_is_no_workload_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no workload .*choose among chain, fan"):
        select([name])


def test_unknown_names_end_the_command_before_anything_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert peers.main(["chains"]) == 2
    assert "there is no workload 'chains'" in capsys.readouterr().err

    with pytest.raises(SystemExit):
        peers.main(["chain", "--sides", "ours,dbos"])
    assert "there is no side ours; choose among in-process" in capsys.readouterr().err


def test_help_says_what_each_workload_and_each_side_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        peers.main(["--help"])
    told = capsys.readouterr().out

    assert [family.name for family in FAMILIES if family.what not in told] == []
    assert [side.name for side in SIDES.values() if side.what not in told] == []


def test_a_scaled_workload_is_smaller_but_not_nothing_and_never_larger() -> None:
    sizes = [Workload(CHAIN.family, size).scaled(20).size for size in (1000, 100, 10, 3)]

    assert sizes == [50, 10, 10, 3]


def test_a_value_is_the_median_of_the_rounds() -> None:
    found = results(CHAIN, official=[measured(1.0), measured(50.0), measured(2.0)])

    assert found.value(CHAIN, "official") == 50
    assert found.value(CHAIN, "dbos") is None


def test_a_ratio_is_of_medians_and_needs_both() -> None:
    found = results(
        CHAIN, dbos=[measured(4.0)], official=[measured(1.0), measured(2.0), measured(9)]
    )

    assert found.ratio(CHAIN, "official", "dbos") == 2
    assert found.ratio(CHAIN, "official", "in-process") is None


def test_latency_is_told_as_percentiles_in_ms() -> None:
    samples = [number / 1000 for number in range(100)]
    found = results(LATENCY, official=[measured(samples=samples)])

    assert found.value(LATENCY, "official", 0) == pytest.approx(50)
    assert found.value(LATENCY, "official", 1) == pytest.approx(99)


def test_a_table_has_a_row_for_each_side_that_ran_and_compares_it_with_the_peers() -> None:
    found = results(CHAIN, **{"in-process": [measured(0.1)]}, official=[measured(1.0)])

    assert workload_table(found, CHAIN).splitlines() == [
        "|            | activities/s | x official | CPU ms per activity | memory, MiB |",
        "| ---------- | -----------: | ---------: | ------------------: | ----------: |",
        "| in-process |        1,000 |       10.0 |                5.00 |        1.00 |",
        "| official   |          100 |       1.00 |                5.00 |        1.00 |",
    ]


def test_what_a_run_did_not_measure_is_said_on_the_page() -> None:
    found = results(CHAIN, **{"in-process": [measured(0.1)]}, official=[measured(1.0)])

    written = page(found, [CHAIN], Disk(flush=0.1, commit_full=0.2, commit_normal=0.03))

    assert "1 round: one orchestration that calls so many activities" in written
    assert "| in-process |        1,000 |       10.0 |" in written
    assert "not measured" in written
    assert "0.10 ms for a flush" in written


def test_a_run_of_everything_takes_three_rounds_or_as_many_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Side, "measure", lambda *_: measured())

    assert rounds_of(CHAIN, rounds=None) == 3
    assert rounds_of(select(["official-worker-fan"])[0], rounds=None) == 10
    assert rounds_of(CHAIN, rounds=5) == 5
    assert rounds_of(CHAIN, rounds=None, quick=True) == 1


def rounds_of(workload: Workload, *, rounds: int | None, quick: bool = False) -> int:
    found = Results()
    arguments = argparse.Namespace(rounds=rounds, quick=quick, timeout=1.0)
    peers.measure(found, workload, [SIDES["official"]], arguments)
    return len(found.of(workload, "official"))


def test_the_commits_of_the_store_are_among_those_that_can_be_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)
    commits = slow_commits.install(0.0)

    store = SqliteStore(tmp_path / "tasks.db")
    counted = commits.count
    store.wipe("default")
    store.close()

    assert commits.count > counted


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234"), (99.96, "100.0"), (12.34, "12.3"), (0.5, "0.50"), (None, "-")],
)
def test_a_number_has_the_digits_that_count(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_goal_is_met_missed_or_surpassed_in_its_own_direction() -> None:
    more = Goal("", lambda _: None, must=2, aim=4)
    less = Goal("", lambda _: None, must=0.5, aim=0.2, at_most=True)

    assert [more.verdict(value) for value in (1.9, 2, 4)] == ["missed", "met", "aim"]
    assert [less.verdict(value) for value in (0.6, 0.5, 0.2)] == ["missed", "met", "aim"]
    assert more.verdict(None) == "not measured"


def test_the_checklist_says_what_was_asked_what_was_measured_and_whether_that_is_enough() -> None:
    found = results(CHAIN, official=[measured(1.0)])
    goals = [
        Goal("rate", lambda results: results.value(CHAIN, "official"), must=50, aim=200, unit="/s"),
        Goal("ratio", lambda results: results.ratio(CHAIN, "official", "dbos"), 0.5, at_most=True),
    ]

    assert checklist(found, goals).splitlines()[2:] == [
        "| rate  | ≥ 50 /s | ≥ 200 /s |      100 |          met |",
        "| ratio | ≤ 0.5 x |          |        - | not measured |",
    ]


def test_every_goal_is_measured_when_every_side_has_run_every_default_workload() -> None:
    found = Results()
    for workload in default_workloads():
        for side in SIDES.values():
            if side.has(workload):
                found.add(workload, side.name, measured(samples=[1.0, 1.0]))

    missing = [goal.text for goals in GOALS.values() for goal in goals if not goal.measure(found)]
    assert missing == []


def test_a_side_that_fails_costs_its_figure_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails_in_dbos(side: Any, _workload: Workload, _timeout: float) -> Measurement:
        if side.name == "dbos":
            raise RuntimeError("it hangs")
        return measured()

    monkeypatch.setattr(Side, "measure", fails_in_dbos)
    found = Results()
    arguments = argparse.Namespace(rounds=2, quick=False, timeout=1.0)
    sides = [SIDES["dbos"], SIDES["official"]]

    failures = peers.measure(found, CHAIN, sides, arguments)

    assert failures == [
        f"round {number} of 2: chain-100 dbos failed: it hangs" for number in (1, 2)
    ]
    assert len(found.of(CHAIN, "official")) == 2


def test_an_engine_that_does_not_start_costs_only_that_measurement() -> None:
    @contextmanager
    def broken(_folder: Path, _environment: dict[str, str]) -> Iterator[list[str]]:
        raise AssertionError("the sidecar did not start")
        yield []

    side = replace(SIDES["in-process"], engine=broken)

    with pytest.raises(RuntimeError, match="the sidecar did not start"):
        side.measure(CHAIN, 1.0)


@pytest.mark.slow
def test_every_workload_gives_the_right_result_on_our_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = [f"{family.name}-10" for family in FAMILIES if family.job is Job.LOAD]
    others = ["replay-10", "import-client-1", "import-worker-1", "import-sidecar-1"]

    assert (
        peers.main([*small, *others, "--quick", "--sides", "in-process,in-process-slow-flush"]) == 0
    )

    told = capsys.readouterr().out
    assert told.count("| in-process ") == len([*small, *others]) - len(_OF_THE_OFFICIAL_WORKER)


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.timeout(900)
def test_a_quick_round_measures_every_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main(["chain-10", "throughput-16", "--quick"]) == 0

    told = capsys.readouterr().out
    everywhere = [name for name, side in SIDES.items() if not side.is_special]
    assert [told.count(f"| {name} ") for name in everywhere] == [2] * len(everywhere)
