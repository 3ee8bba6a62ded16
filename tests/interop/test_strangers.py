"""Six SDKs of others, unchanged, on one running sidecar of ours, at the same time.

Each has a task hub of its own (Dapr's for Python, which cannot name one, the default hub). All
are asked for the same: by name, the scenarios that lie in `tools/peer`. `docs/engines.md` shows
how it goes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.builders import interop
from tests.interop.strangers import NOT_IN_SDK, SCENARIOS, STRANGERS
from tools import peers
from tools.peers import dapr, go, java, javascript

if TYPE_CHECKING:
    from collections.abc import Callable

# The first run installs the SDKs.
pytestmark = [pytest.mark.peers, pytest.mark.timeout(900), pytest.mark.xdist_group("strangers")]

RUN: dict[str, Callable[..., str]] = {
    "durabletask for Python (Microsoft)": lambda *told: peers.run(
        peers.FOLDER / "scenarios", *told
    ),
    "durabletask-js (Microsoft)": lambda *told: javascript.run(
        javascript.FOLDER / "play.js", *told
    ),
    "dapr for Python": dapr.run,
    "durabletask-go (Dapr)": go.run,
    "durabletask-js (Dapr)": lambda *told: javascript.run(javascript.FOLDER / "dapr.js", *told),
    "durabletask-client for Java (Dapr)": java.run,
}

# What it warns of on any engine is known from its own; `test_official_python.py` compares.
LOUD = "durabletask for Python (Microsoft)"


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, interop.Ends]:
    folder = tmp_path_factory.mktemp("strangers")
    with interop.needed(), interop.listening_sidecar(folder) as (address, logged):
        with ThreadPoolExecutor(len(STRANGERS)) as pool:
            printed = pool.map(lambda name: RUN[name](address, *_offered(name)), STRANGERS)
            ends = dict(zip(STRANGERS, map(interop.read, printed), strict=True))
        assert logged == []
    return ends


def _offered(stranger: str) -> list[str]:
    pairs = SCENARIOS.items()
    return [name for feature, name in pairs if (feature, stranger) not in NOT_IN_SDK]


@pytest.mark.parametrize("feature", SCENARIOS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_served(plays: dict[str, interop.Ends], stranger: str, feature: str) -> None:
    if why := NOT_IN_SDK.get((feature, stranger)):
        assert SCENARIOS[feature] not in plays[stranger], f"it is offered now: {why}"
        return

    end = plays[stranger][SCENARIOS[feature]]

    assert end.error is None, end.error
    assert stranger == LOUD or end.heard == frozenset()


@pytest.mark.parametrize("stranger", [name for name in STRANGERS if name != LOUD])
def test_a_stranger_warns_of_nothing_else(plays: dict[str, interop.Ends], stranger: str) -> None:
    """What an SDK does not tell of any one scenario."""
    assert plays[stranger].get("", interop.End(None, frozenset())).heard == frozenset()


def test_what_is_installed_is_fixed_by_its_content_and_not_by_its_place() -> None:
    """No committed file says where a peer comes from; each says what it has to be."""
    sums = (go.FOLDER / "go.sum").read_text()
    checksums = (java.FOLDER / "checksums.txt").read_text()

    assert "github.com/dapr/durabletask-go v0.14.0 h1:" in sums
    assert all(len(line.split()[0]) == 64 for line in checksums.splitlines())
