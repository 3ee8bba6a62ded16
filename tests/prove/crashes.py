"""Crash at every commit: the power fails before and after each commit of each scenario."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .parts import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.builders.power_cuts import Stage

    from .parts import Options

NAME = "crashes"


def prove(_options: Options) -> Iterator[Line]:
    from tests.builders.power_cuts import STAGES, Stage, quick_folder
    from tests.builders.scenarios import SCENARIOS

    points = 0
    for name, grouped in STAGES:
        with quick_folder() as folder:
            stage = Stage(SCENARIOS[name], folder, grouped=grouped)
            tried, differing = crash_everywhere(stage)
        points += tried
        if differing:
            what = f"{name}, grouped" if grouped else name
            yield Line(f"{what}: ended differently after a crash at", ", ".join(differing), False)
    yield Line("scenarios", str(len(STAGES)), holds=True)
    yield Line("crash points tried (before and after each commit)", str(points), holds=points > 0)


def crash_everywhere(stage: Stage) -> tuple[int, list[str]]:
    """How many points were tried, and those after which it ended otherwise."""
    from tests.builders.power_cuts import Moment

    smooth, commits = stage.undisturbed()
    points = [(survives, moment) for survives in range(commits) for moment in Moment]
    differing = []
    for survives, moment in points:
        recovered, lost = stage.survive(survives, moment, smooth.endings)
        if recovered != replace(smooth, runs=smooth.runs + lost):
            differing.append(f"{moment.value} commit {survives}")
    return len(points), differing
