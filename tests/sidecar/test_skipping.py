"""When time may pass: what counts as rest."""

from __future__ import annotations

import asyncio

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.engine.commands import RaiseEvent
from durabletask.sidecar.skipping import SkippingHost
from durabletask.sidecar.store.memory import MemoryStore


async def test_there_is_no_rest_until_all_that_was_asked_for_is_stored() -> None:
    host = SkippingHost(Committer(MemoryStore()), ManualClock(), lambda: "id")
    asked = asyncio.create_task(host.execute("default", "missing", RaiseEvent("tick")))
    await asyncio.sleep(0)

    was_idle = host.is_idle
    await asked

    assert not was_idle
    assert host.is_idle


async def test_the_life_of_a_connection_is_not_measured_by_a_time_that_stands_still() -> None:
    clock = ManualClock()

    host = SkippingHost(Committer(MemoryStore()), clock, lambda: "id")

    # Pings by the manual clock would stop, and every worker take its stream for dead.
    assert host.link_clock.now() > clock.now()
