"""ChangeWaiters come and go without leaving anything behind."""

from __future__ import annotations

import asyncio

import pytest

from durabletask.sidecar.errors import ShuttingDownError
from durabletask.sidecar.host import ChangeWaiters


async def test_only_those_who_wait_for_the_instance_are_woken() -> None:
    waiters = ChangeWaiters()
    first = asyncio.create_task(waiters.wait_changed("hub", "a"))
    second = asyncio.create_task(waiters.wait_changed("hub", "b"))
    await asyncio.sleep(0)

    waiters.wake("hub", "a")
    await first

    assert not second.done()
    assert len(waiters) == 1
    second.cancel()


async def test_who_stops_waiting_is_forgotten() -> None:
    waiters = ChangeWaiters()
    waiting = asyncio.create_task(waiters.wait_changed("hub", "a"))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert len(waiters) == 0


async def test_who_waits_again_at_once_is_woken_again() -> None:
    waiters = ChangeWaiters()

    async def wait_twice() -> None:
        await waiters.wait_changed("hub", "a")
        await waiters.wait_changed("hub", "a")

    waiting = asyncio.create_task(wait_twice())
    for _ in range(2):
        await asyncio.sleep(0)
        waiters.wake("hub", "a")

    await asyncio.wait_for(waiting, 5)


async def test_closing_sends_everybody_away() -> None:
    waiters = ChangeWaiters()
    waiting = asyncio.create_task(waiters.wait_changed("hub", "a"))
    await asyncio.sleep(0)

    waiters.close()

    with pytest.raises(ShuttingDownError):
        await waiting
    with pytest.raises(ShuttingDownError):
        await waiters.wait_changed("hub", "a")
