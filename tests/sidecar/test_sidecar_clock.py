from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from durabletask.sidecar.clock import ManualClock, SystemClock

START = datetime(2024, 5, 1, tzinfo=UTC)


async def test_an_alarm_rings_only_once_its_time_has_come() -> None:
    clock = ManualClock(START)
    rung: list[str] = []
    clock.call_at(START + timedelta(seconds=10), lambda: rung.append("ten"))

    clock.advance(timedelta(seconds=9))
    await asyncio.sleep(0)
    early = list(rung)
    clock.advance(timedelta(seconds=1))
    await asyncio.sleep(0)

    assert (early, rung) == ([], ["ten"])


async def test_alarms_that_come_due_together_ring_in_the_order_of_their_times() -> None:
    clock = ManualClock(START)
    rung: list[int] = []
    for seconds in (3, 1, 2):
        clock.call_at(START + timedelta(seconds=seconds), partial(rung.append, seconds))

    clock.advance(timedelta(minutes=1))
    await asyncio.sleep(0)

    assert rung == [1, 2, 3]


async def test_moving_to_a_time_rings_what_is_due_and_never_goes_back() -> None:
    clock = ManualClock(START)
    rung: list[str] = []
    clock.call_at(START + timedelta(days=1), lambda: rung.append("due"))

    clock.advance_to(START + timedelta(days=1))
    clock.advance_to(START)
    await asyncio.sleep(0)

    assert rung == ["due"]
    assert clock.now() == START + timedelta(days=1)


async def test_a_cancelled_alarm_never_rings() -> None:
    clock = ManualClock(START)
    rung: list[str] = []
    alarm = clock.call_at(START, lambda: rung.append("due"))

    alarm.cancel()
    await asyncio.sleep(0)

    assert rung == []
    assert clock.next_alarm() is None


async def test_a_manual_clock_may_be_moved_from_another_thread() -> None:
    clock = ManualClock(START)
    rung = asyncio.Event()
    clock.call_at(START + timedelta(days=1), rung.set)

    await asyncio.to_thread(clock.advance, timedelta(days=1))

    await asyncio.wait_for(rung.wait(), 5)


async def test_the_system_clock_rings_when_the_time_has_come() -> None:
    clock = SystemClock()
    due = clock.now() + timedelta(milliseconds=20)
    rung: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()

    clock.call_at(due, lambda: rung.set_result(clock.now()))

    assert await asyncio.wait_for(rung, 5) >= due


async def test_an_alarm_in_the_year_9999_can_be_set_and_cancelled() -> None:
    clock = SystemClock()

    alarm = clock.call_at(datetime.max.replace(tzinfo=UTC), lambda: pytest.fail("rang"))
    await asyncio.sleep(0)

    alarm.cancel()


def test_the_system_clock_never_runs_backwards() -> None:
    clock = SystemClock()

    times = [clock.now() for _ in range(1000)]

    assert times == sorted(times)
    assert all(time.tzinfo is UTC for time in times)


def test_time_goes_on_when_the_machines_clock_is_set_back() -> None:
    walls = [START, START - timedelta(hours=1), START - timedelta(minutes=59)]
    ticks = [0.0, 100.0, 105.0, 165.0]
    clock = SystemClock(wall=iter(walls).__next__, ticks=iter(ticks).__next__)

    times = [clock.now() for _ in walls]

    assert times == [START, START + timedelta(seconds=5), START + timedelta(seconds=65)]


def test_the_machines_clock_is_followed_again_once_it_has_caught_up() -> None:
    walls = [START, START - timedelta(hours=1), START + timedelta(hours=3)]
    ticks = [0.0, 100.0, 101.0, 102.0]
    clock = SystemClock(wall=iter(walls).__next__, ticks=iter(ticks).__next__)

    times = [clock.now() for _ in walls]

    assert times[-1] == START + timedelta(hours=3)
