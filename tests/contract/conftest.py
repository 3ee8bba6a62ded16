"""The engine under test.

Our own sidecar, unless the environment names another one. A test says with the marker `needs`
what it asks of an engine besides the protocol, and is not run where that is not to be had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.contract import Client, EngineUnderTest, engine_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineUnderTest]:
    needs = {ability for mark in request.node.iter_markers("needs") for ability in mark.args}
    engine = engine_with(needs, tmp_path)
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
