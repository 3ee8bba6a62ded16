"""Clients and workers reach the backends without gRPC, as in the tests of those who use them."""

from __future__ import annotations

import pytest


@pytest.fixture(
    autouse=True, params=["in process", pytest.param("over gRPC", marks=pytest.mark.slow)]
)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLETASK_IN_PROCESS", "1" if request.param == "in process" else "0")
