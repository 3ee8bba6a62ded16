"""The official SDK's client and worker, unchanged, on our sidecar.

The scenarios lie in `tools/peers/scenarios`: each is a claim, asserted there with the official
API. All of them are played at once by one process on our sidecar, and by another on the SDK's
own in-memory backend, to know what its worker says there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.builders import interop
from tools import peers

# The first run installs the official SDK.
pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("official_python"),
]

_SCENARIOS = peers.FOLDER / "scenarios"
NAMES = interop.names(_SCENARIOS.glob("*.py"), r"^@scenario\(.*\)\ndef (\w+)\(")

# Which worker is asked first is chance, on both backends; in the other scenario it is certain.
ALSO_HEARD = {
    "what_one_worker_rejects_another_takes": "what_every_worker_rejects_waits_for_one_that_fits",
}


@dataclass(frozen=True, slots=True)
class Play:
    """How the scenarios went on both backends, and what our process logged meanwhile."""

    ours: interop.Ends
    theirs: interop.Ends
    logged: list[str]


@pytest.fixture(scope="module")
def play(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Play:
    with interop.needed():
        peers.python()
    names = interop.chosen(request)
    names += [other for name, other in ALSO_HEARD.items() if name in names and other not in names]
    folder = tmp_path_factory.mktemp("official")
    with interop.listening_sidecar(folder) as (address, logged), ThreadPoolExecutor() as pool:
        played = pool.map(lambda where: peers.run(_SCENARIOS, where, *names), [address, "official"])
        ours, theirs = map(interop.read, played)
    return Play(ours, theirs, logged)


@pytest.mark.parametrize("name", NAMES)
def test_the_official_sdk_finds_that(play: Play, name: str) -> None:
    """Fulfilled on our sidecar, and without a warning that its own backend does not cause."""
    error, theirs = play.ours[name].error, play.theirs[name].error

    assert error is None, f"{error}\non its own backend: {theirs or 'fulfilled'}"
    also = play.theirs[ALSO_HEARD.get(name, name)].heard
    assert play.ours[name].heard <= play.theirs[name].heard | also


def test_the_official_sdk_has_nothing_else_to_say(play: Play) -> None:
    """Warnings that no scenario is known to have caused: of gRPC, asyncio and the like."""
    assert play.ours[""].heard <= play.theirs[""].heard


def test_our_sidecar_warns_of_nothing_while_the_official_sdk_uses_it(play: Play) -> None:
    assert play.logged == []


def test_every_scenario_of_the_official_sdk_is_found() -> None:
    """Names are read from the sources; one that is written otherwise would never be played."""
    told = sum(file.read_text().count("@scenario(") for file in _SCENARIOS.glob("*.py"))

    assert len(set(NAMES)) == told > 0
