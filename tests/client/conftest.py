"""Every test that asks for a hub runs with both clients."""

from __future__ import annotations

import pytest

from tests.builders.client import ScriptedService


@pytest.fixture(params=["sync", "async"])
def hub(request: pytest.FixtureRequest) -> ScriptedService:
    return ScriptedService(is_async=request.param == "async")
