"""Every test that asks for `scripted` runs with both clients."""

from __future__ import annotations

import pytest

from tests.builders.client import ScriptedClient


@pytest.fixture(params=["sync", "async"])
def scripted(request: pytest.FixtureRequest) -> ScriptedClient:
    return ScriptedClient(is_async=request.param == "async")
