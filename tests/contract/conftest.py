"""The engine under test.

Our own sidecar, unless the environment names another one; each test runs over gRPC, and once more
with the sidecar's methods called in the test's own process. A test states with the marker `needs`
what it requires of an engine besides the protocol, and is not run where that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.contract import Client, EngineUnderTest, engine_with, ways

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def _needs(node: pytest.Item | pytest.Function) -> set[str]:
    return {ability for mark in node.iter_markers("needs") for ability in mark.args}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "hub" in metafunc.fixturenames:
        needs = _needs(metafunc.definition)
        metafunc.parametrize("hub", ways(needs), indirect=True)


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
