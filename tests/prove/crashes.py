"""Crash at every commit: the power fails before and after each commit of each scenario."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .suites import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash.power_cuts import CrashCase

    from .suites import Options

NAME = "crashes"


def prove(_options: Options) -> Iterator[Row]:
    from tests.builders.scenarios import SCENARIOS
    from tests.crash.power_cuts import CASES, CrashCase, quick_folder

    points = 0
    for name, way in CASES:
        with quick_folder() as folder:
            case = CrashCase(SCENARIOS[name], folder, way)
            tried, differing = crash_everywhere(case)
        points += tried
        if differing:
            what = f"{name}, {way.value}: ended differently after a crash at"
            yield Row(what, ", ".join(differing), holds=False)
    yield Row("scenarios", str(len(CASES)), holds=True)
    yield Row("crash points tried (before and after each commit)", str(points), holds=points > 0)


def crash_everywhere(case: CrashCase) -> tuple[int, list[str]]:
    """How many points were tried, and those after which it ended otherwise."""
    from tests.crash.power_cuts import Moment

    smooth, commits = case.undisturbed()
    points = [(survives, moment) for survives in range(commits) for moment in Moment]
    differing = []
    for survives, moment in points:
        recovered, lost = case.survive(survives, moment, smooth.endings)
        if recovered != replace(smooth, runs=smooth.runs + lost):
            differing.append(f"{moment.value} commit {survives}")
    return len(points), differing
