"""ChangeWaiters come and go without leaving anything behind."""

from __future__ import annotations

import asyncio

import pytest

from durabletask.sidecar.errors import ShuttingDownError
from durabletask.sidecar.host import ChangeWaiters
from durabletask.sidecar.store import StoreError


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


async def test_who_waits_for_something_is_not_woken_before() -> None:
    waiters = ChangeWaiters()
    is_there = False
    waiting = asyncio.create_task(waiters.wait_changed("hub", "a", lambda: is_there))
    await asyncio.sleep(0)

    waiters.wake("hub", "a")
    await asyncio.sleep(0)
    was_woken = waiting.done()
    is_there = True
    waiters.wake("hub", "a")
    await waiting

    assert not was_woken


async def test_who_waits_for_what_cannot_be_read_is_woken_to_find_out() -> None:
    waiters = ChangeWaiters()

    def unreadable() -> bool:
        raise StoreError("a page is damaged")

    waiting = asyncio.create_task(waiters.wait_changed("hub", "a", unreadable))
    await asyncio.sleep(0)

    waiters.wake("hub", "a")

    await waiting
