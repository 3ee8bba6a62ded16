"""Each case of the suite `network`, once."""

from __future__ import annotations

import sys

import pytest

from tests.prove import network

SEED = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="looks into the sidecar's process as Linux allows it"
    ),
]


@pytest.mark.parametrize("what", network.CASES)
async def test_it_is_survived_and_nothing_of_it_is_left(what: str) -> None:
    assert await network.CASES[what](SEED)
