"""Each case of the suite `disk`, once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.prove import disk

if TYPE_CHECKING:
    from pathlib import Path

SEED = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux",
        reason="takes limits and capabilities from the process as Linux does",
    ),
]


@pytest.mark.parametrize("what", disk.CASES)
def test_one_clear_error_and_nothing_acknowledged_is_lost(what: str, tmp_path: Path) -> None:
    assert disk.CASES[what](tmp_path / "tasks.db", SEED)
