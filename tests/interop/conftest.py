"""Each engine in turn, with a client and a worker of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.harness import MARKED, Harness, harness_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=MARKED)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def harness(engine: str, tmp_path: Path) -> Iterator[Harness]:
    with harness_on(engine, tmp_path) as harness:
        yield harness
