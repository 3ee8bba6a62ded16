"""Microsoft's SDK for JavaScript, unchanged, on our sidecar.

The scenarios are in `tests/interop/javascript`: each is a claim, asserted there. One process of
Node runs all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import scenarios
from tools.peers import javascript

# The first run installs the SDK.
pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]

_PROGRAMS = Path(__file__).with_name("javascript")
NAMES = scenarios.names([_PROGRAMS / "scenarios.js"], r"^exports\.(\w+) = ")


@dataclass(frozen=True, slots=True)
class Play:
    """How the scenarios went, and what our process logged meanwhile."""

    ends: scenarios.Ends
    logged: list[str]


@pytest.fixture(scope="module")
def play(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Play:
    folder = tmp_path_factory.mktemp("javascript")
    with scenarios.needed(), scenarios.logged_sidecar(folder) as (address, logged):
        printed = javascript.run(_PROGRAMS / "microsoft.js", address, *scenarios.chosen(request))
    return Play(scenarios.read(printed), logged)


@pytest.mark.parametrize("name", NAMES)
def test_the_javascript_sdk_finds_that(play: Play, name: str) -> None:
    """Fulfilled, and the SDK warns of nothing but the failures that the scenario provokes."""
    assert play.ends[name].error is None, play.ends[name].error
    assert play.ends[name].warnings == frozenset()


def test_our_sidecar_warns_of_nothing_while_the_javascript_sdk_uses_it(play: Play) -> None:
    assert play.logged == []


def test_every_scenario_of_the_javascript_sdk_is_found() -> None:
    source = (_PROGRAMS / "scenarios.js").read_text()

    assert len(set(NAMES)) == source.count("exports.") > 0
