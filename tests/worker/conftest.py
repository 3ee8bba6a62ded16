from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.worker_host import HostHarness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def harness() -> AsyncIterator[HostHarness]:
    harness = HostHarness()
    yield harness
    if harness.running is not None and not harness.running.done():
        await harness.stop(grace=0)
