"""Every test that asks for a hub runs with both clients."""

from __future__ import annotations

import pytest

from tests.builders.client import Hub


@pytest.fixture(params=["sync", "async"])
def hub(request: pytest.FixtureRequest) -> Hub:
    return Hub(is_async=request.param == "async")
