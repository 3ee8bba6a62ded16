from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.slots import SlotsHarness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def harness() -> AsyncIterator[SlotsHarness]:
    harness = SlotsHarness()
    yield harness
    harness.slots.close()
    await harness.slots.wait_closed()
