"""When time may be skipped: what counts as idle."""

from __future__ import annotations

import asyncio

from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.engine.commands import RaiseEvent
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.testing._time_skipping import TimeSkippingHost


async def test_a_host_is_not_idle_until_every_command_is_stored() -> None:
    host = TimeSkippingHost(Committer(MemoryStore()), ManualClock(), lambda: "id")
    executing = asyncio.create_task(host.execute("default", "missing", RaiseEvent("tick")))
    await asyncio.sleep(0)

    was_idle = host.is_idle
    await executing

    assert not was_idle
    assert host.is_idle


async def test_pings_are_sent_in_real_time_while_the_hubs_time_stands_still() -> None:
    clock = ManualClock()

    host = TimeSkippingHost(Committer(MemoryStore()), clock, lambda: "id")

    # By the manual clock no ping would be sent, and every worker would reconnect again and again.
    assert host.link_clock.now() > clock.now()
