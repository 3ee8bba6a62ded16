from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.worker_host import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    if bench.running is not None and not bench.running.done():
        await bench.stop(grace=0)
