"""The engine under test.

Our own sidecar, unless the environment names another one; each test runs over gRPC, once more
without it, as clients and workers of the sidecar's own process reach it, and once more on a batch
stream. A test states with the marker `needs` what it requires of an engine besides the protocol,
and is not run where that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.contract import BATCHES, Client, EngineUnderTest, engine_with, ways

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# What a stream may do in another way than calls by themselves; the rest is with the slow tests.
_FAST_IN_BATCHES = ("test_hub_leases", "test_hub_limits", "test_hub_waits")


def _needs(node: pytest.Item | pytest.Function) -> set[str]:
    return {ability for mark in node.iter_markers("needs") for ability in mark.args}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "hub" in metafunc.fixturenames:
        needs = _needs(metafunc.definition)
        is_slow = metafunc.module.__name__.rpartition(".")[2] not in _FAST_IN_BATCHES
        slow_ways = {BATCHES} if is_slow else set()
        params = [
            pytest.param(way, marks=[pytest.mark.slow] if way in slow_ways else [])
            for way in ways(needs)
        ]
        metafunc.parametrize("hub", params, indirect=True)


@pytest.fixture
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineUnderTest]:
    needs = _needs(request.node)
    engine = engine_with(needs, tmp_path, request.param)
    missing = sorted(needs - engine.abilities)
    if missing:
        pytest.skip(f"the engine offers no {' and no '.join(missing)}")
    await engine.start()
    hub = EngineUnderTest(engine)
    try:
        yield hub
    finally:
        await hub.close()


@pytest.fixture
async def client(hub: EngineUnderTest) -> Client:
    return await hub.client()
