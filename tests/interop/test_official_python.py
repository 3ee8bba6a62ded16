"""The official SDK's client and worker, unchanged, on our sidecar.

The scenarios are in `tests/interop/official`: each is a claim, asserted there with the official
API. One process runs all of them on our sidecar, and another on the SDK's own in-memory backend,
to know what its worker logs there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import scenarios
from tools.peers import pythons

# The first run installs the official SDK.
pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]

_SCENARIOS = Path(__file__).with_name("official")
NAMES = scenarios.names(_SCENARIOS.glob("*.py"), r"^@scenario\(.*\)\ndef (\w+)\(")

# Which worker is asked first is chance, on both backends; in the other scenario it is certain.
ALSO_WARNED_OF = {
    "what_one_worker_rejects_another_takes": "what_every_worker_rejects_waits_for_one_that_fits",
}


@dataclass(frozen=True, slots=True)
class Play:
    """How the scenarios went on both backends, and what our process logged meanwhile."""

    ours: scenarios.Ends
    theirs: scenarios.Ends
    logged: list[str]


@pytest.fixture(scope="module")
def play(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Play:
    with scenarios.needed():
        pythons.python(pythons.OFFICIAL)
    names = scenarios.chosen(request)
    names += [
        other for name, other in ALSO_WARNED_OF.items() if name in names and other not in names
    ]
    folder = tmp_path_factory.mktemp("official")
    with scenarios.logged_sidecar(folder) as (address, logged), ThreadPoolExecutor() as pool:
        played = pool.map(lambda where: _run(where, names), [address, "official"])
        ours, theirs = map(scenarios.read, played)
    return Play(ours, theirs, logged)


def _run(where: str, names: list[str]) -> str:
    return pythons.run(pythons.OFFICIAL, _SCENARIOS, where, *names)


@pytest.mark.parametrize("name", NAMES)
def test_the_official_sdk_finds_that(play: Play, name: str) -> None:
    """Fulfilled on our sidecar, and without a warning that its own backend does not cause."""
    error, theirs = play.ours[name].error, play.theirs[name].error

    assert error is None, f"{error}\non its own backend: {theirs or 'fulfilled'}"
    also = play.theirs[ALSO_WARNED_OF.get(name, name)].warnings
    assert play.ours[name].warnings <= play.theirs[name].warnings | also


def test_the_official_sdk_has_nothing_else_to_say(play: Play) -> None:
    """Warnings that no scenario is known to have caused: of gRPC, asyncio and the like."""
    assert play.ours[""].warnings <= play.theirs[""].warnings


def test_our_sidecar_warns_of_nothing_while_the_official_sdk_uses_it(play: Play) -> None:
    assert play.logged == []


def test_every_scenario_of_the_official_sdk_is_found() -> None:
    """Names are read from the sources; one that is written otherwise would never be played."""
    told = sum(file.read_text().count("@scenario(") for file in _SCENARIOS.glob("*.py"))

    assert len(set(NAMES)) == told > 0
