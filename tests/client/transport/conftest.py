"""Every test that asks for `kind` runs with both transports."""

from __future__ import annotations

import pytest

from tests.builders.transport import TransportKind


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> TransportKind:
    return TransportKind(is_async=request.param == "async")
