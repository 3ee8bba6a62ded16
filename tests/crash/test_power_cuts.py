"""Whichever commit the power fails at, real orchestrations end as if it had not failed.

`hatch run prove crashes` counts the crash points.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.engine.commands import Resume, StartInstance, Suspend
from durabletask.sidecar.engine.transition import Accepted, AlreadyExists
from durabletask.sidecar.store import StoreError
from tests.builders.inline_sidecar import Outside
from tests.builders.scenarios import SCENARIOS
from tests.crash.power_cuts import (
    CASES,
    CrashCase,
    FullDisk,
    Moment,
    Way,
    aftermath,
    quick_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from durabletask.sidecar.engine.transition import Reply


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(otherwise=tmp_path) as found:
        yield found


# The scenarios with the most commits, and so the most crash points.
SLOW = {
    "many at once",
    "entities contended for",
    "a lock taken back",
    "a family terminated that holds a lock",
    "purged with a child that holds a lock",
}


def is_slow(name: str, way: Way) -> bool:
    return name in SLOW or (way is Way.GROUPED_AND_APART and name not in {"fan-out", "children"})


@pytest.fixture(
    params=[
        pytest.param(case, marks=[pytest.mark.slow] if is_slow(*case) else []) for case in CASES
    ],
    ids=lambda it: f"{it[0]}, {it[1].value}",
)
def case(request: pytest.FixtureRequest, folder: Path) -> CrashCase:
    name, way = request.param
    return CrashCase(SCENARIOS[name], folder, way)


every_moment = pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)


def test_what_has_ended_leaves_no_row_that_waits(case: CrashCase) -> None:
    smooth, _ = case.undisturbed()

    assert smooth.leftovers == []


@every_moment
def test_a_power_cut_at_any_commit_loses_and_repeats_nothing(
    case: CrashCase, moment: Moment
) -> None:
    smooth, commits = case.undisturbed()

    for survives in range(commits):
        recovered, lost = case.survive(survives, moment, smooth.endings)

        assert recovered == replace(smooth, runs=smooth.runs + lost), f"commit {survives}"


def test_a_sidecar_that_dies_after_every_commit_gets_everything_done(case: CrashCase) -> None:
    smooth, commits = case.undisturbed()
    outside = Outside.of(case.scenario)
    path = case.folder / "life.db"

    for _ in range(commits):
        path = case.cut(outside, path, 0, Moment.AFTER)

    assert case.recover(outside, path, smooth.endings) == smooth


# After a day the clients of the two left out come too late, and rightly hear so.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in sorted(SCENARIOS.keys() - {"approved", "suspended"})
    ],
)
def test_a_day_without_a_sidecar_changes_no_result(folder: Path, name: str) -> None:
    case = CrashCase(SCENARIOS[name], folder)
    smooth, commits = case.undisturbed()

    for survives in range(commits):
        outside = Outside.of(case.scenario)
        remains = case.cut(outside, folder / f"{survives}.db", survives, Moment.AFTER)
        outside.now += timedelta(days=1)

        recovered = case.recover(outside, remains, smooth.endings)

        assert recovered.results == smooth.results, f"commit {survives}"
        assert recovered.leftovers == [], f"commit {survives}"


def test_a_commit_that_fails_can_be_tried_again(case: CrashCase) -> None:
    """Neither the store nor the committer has taken over any of it."""
    smooth, commits = case.undisturbed()

    for survives in range(commits):
        outside = Outside.of(case.scenario)
        with closing(FullDisk(case.folder / f"{survives}.db", survives)) as store:
            hub = case.hub(store, outside)
            with pytest.raises(StoreError, match="is full"):
                hub.run()
            lost = Counter(outside.in_flight)

            hub.run()

            tried_again = aftermath(store, outside, smooth.endings)
        assert tried_again == replace(smooth, runs=smooth.runs + lost), f"commit {survives}"


def test_a_client_that_repeats_a_call_it_got_no_answer_to_is_told_what_is(folder: Path) -> None:
    case = CrashCase(SCENARIOS["suspended"], folder)
    _, commits = case.undisturbed()
    told: dict[type, type[Reply]] = {}

    for survives in range(commits):
        outside = Outside.of(case.scenario)
        remains = case.cut(outside, folder / f"{survives}.db", survives, Moment.AFTER)
        in_vain = outside.unanswered
        case.recover(outside, remains, ["a"])
        told |= {type(call.command): type(it) for call, it in outside.replies if call is in_vain}

    assert told == {StartInstance: AlreadyExists, Suspend: Accepted, Resume: Accepted}
