"""A short version of the suite `fuzz`; and that it finds what it looks for."""

from __future__ import annotations

import pytest

from tests.prove.fuzz import fuzz

SEED = 6

# The sidecar, but for a line.
_RUN = "import sys; from durabletask.sidecar.__main__ import main; sys.exit(main(sys.argv[1:]))"
_DEFECT = """\
from durabletask.sidecar.host import Host
Host.entity = lambda self, hub, entity_id: self.nothing
"""
_LEAK = """\
from durabletask.sidecar.work.leases import Leases
Leases.held_by = lambda self, stream: []
"""


@pytest.mark.slow
async def test_whatever_it_is_sent_the_sidecar_lives_on_and_forgets_nobody() -> None:
    found = await fuzz(SEED, range(20))

    assert found.unreached == []
    assert found.answers > 0
    assert (found.wrong, found.logged, found.stuck) == ([], [], [])
    assert found.is_alive
    assert found.completes


@pytest.mark.slow
async def test_a_defect_would_be_found_by_the_status_and_in_the_log() -> None:
    found = await fuzz(SEED, range(6), ("-c", _DEFECT + _RUN))

    assert any("GetEntity: INTERNAL" in each for each in found.wrong)
    assert any("Traceback" in line for line in found.logged)


@pytest.mark.slow
async def test_leases_that_leak_would_be_found_by_what_they_hold() -> None:
    found = await fuzz(SEED, range(10), ("-c", _LEAK + _RUN), patience=2)

    assert found.stuck
