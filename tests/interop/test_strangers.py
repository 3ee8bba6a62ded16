"""Six SDKs of others, unchanged, on one running sidecar of ours, at the same time.

Each has a task hub of its own (Dapr's for Python, which cannot name one, the default hub). All
are asked for the same: by name, the scenarios in the programs beside this file. `docs/engines.md`
shows how it goes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop import scenarios
from tests.interop.strangers import NOT_IN_SDK, SCENARIOS, STRANGERS
from tools.peers import go, java, javascript, pythons

if TYPE_CHECKING:
    from collections.abc import Callable

# The first run installs the SDKs.
pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]

PROGRAMS = Path(__file__).parent

RUN: dict[str, Callable[..., str]] = {
    "durabletask for Python (Microsoft)": partial(
        pythons.run, pythons.OFFICIAL, PROGRAMS / "official"
    ),
    "durabletask-js (Microsoft)": partial(javascript.run, PROGRAMS / "javascript" / "microsoft.js"),
    "dapr for Python": partial(pythons.run, pythons.DAPR, PROGRAMS / "dapr"),
    "durabletask-go (Dapr)": partial(go.run, PROGRAMS / "go"),
    "durabletask-js (Dapr)": partial(javascript.run, PROGRAMS / "javascript" / "dapr.js"),
    "durabletask-client for Java (Dapr)": partial(java.run, PROGRAMS / "java" / "Scenarios.java"),
}
"""How each runs its scenarios: called with the sidecar's address and their names."""

# What it warns of on any engine is known from its own; `test_official_python.py` compares.
LOUD = "durabletask for Python (Microsoft)"


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, scenarios.Ends]:
    folder = tmp_path_factory.mktemp("strangers")
    with scenarios.needed(), scenarios.logged_sidecar(folder) as (address, logged):
        with ThreadPoolExecutor(len(STRANGERS)) as pool:
            printed = pool.map(lambda name: RUN[name](address, *_offered(name)), STRANGERS)
            ends = dict(zip(STRANGERS, map(scenarios.read, printed), strict=True))
        assert logged == []
    return ends


def _offered(stranger: str) -> list[str]:
    pairs = SCENARIOS.items()
    return [name for feature, name in pairs if (feature, stranger) not in NOT_IN_SDK]


@pytest.mark.parametrize("feature", SCENARIOS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_served(
    plays: dict[str, scenarios.Ends], stranger: str, feature: str
) -> None:
    if why := NOT_IN_SDK.get((feature, stranger)):
        assert SCENARIOS[feature] not in plays[stranger], f"it is offered now: {why}"
        return

    end = plays[stranger][SCENARIOS[feature]]

    assert end.error is None, end.error
    assert stranger == LOUD or end.warnings == frozenset()


@pytest.mark.parametrize("stranger", [name for name in STRANGERS if name != LOUD])
def test_a_stranger_warns_of_nothing_else(plays: dict[str, scenarios.Ends], stranger: str) -> None:
    """What an SDK does not tell of any one scenario."""
    assert plays[stranger].get("", scenarios.End(None, frozenset())).warnings == frozenset()
