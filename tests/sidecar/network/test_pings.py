"""When a worker is given up that takes nothing of what it is sent."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from durabletask.protocol import dialects
from durabletask.sidecar import ManualClock
from durabletask.sidecar.service.work_items import Pings
from durabletask.sidecar.work.streams import Subscription, WorkStream

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024


class Watched:
    """A stream that is pinged, and how often its worker was given up."""

    def __init__(self) -> None:
        self.stream = WorkStream(Subscription("h", dialect=dialects.DAPR))
        self.items = self.stream.items()
        self.given_up = 0
        self._clock = ManualClock()
        self.pings = Pings(self.stream, self._clock, self._count)

    def _count(self) -> None:
        self.given_up += 1

    async def write(self, size: int) -> None:
        """Begin to write an item of so many bytes; the one before is taken then."""
        self.stream.send(b"x" * size)
        await anext(self.items)

    async def pass_pings(self, count: int) -> None:
        for _ in range(count):
            self._clock.advance(timedelta(seconds=25))
            rung = asyncio.Event()
            asyncio.get_running_loop().call_soon(rung.set)
            await rung.wait()


@contextmanager
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.pings.stop()


@pytest.mark.parametrize(
    ("size", "pings"), [(10, 2), (4 * MIB - 1, 2), (4 * MIB, 3), (48 * MIB, 14)]
)
async def test_an_item_has_as_many_pings_as_a_slow_link_needs_for_it(size: int, pings: int) -> None:
    with watched() as worker:
        await worker.write(size)

        await worker.pass_pings(pings - 1)
        assert worker.given_up == 0

        await worker.pass_pings(1)
        assert worker.given_up == 1


async def test_a_batch_has_as_many_pings_as_a_slow_link_needs_for_all_of_it() -> None:
    with watched() as worker:
        taking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivering = asyncio.create_task(worker.stream.deliver(lambda _: taking))
        worker.stream.send(*[b"x" * 3 * MIB] * 3)

        await worker.pass_pings(3)
        assert worker.given_up == 0

        await worker.pass_pings(1)
        assert worker.given_up == 1
        delivering.cancel()


async def test_a_worker_that_takes_one_batch_after_the_other_is_kept() -> None:
    with watched() as worker:
        delivering = asyncio.create_task(worker.stream.deliver(lambda _: None))
        for _ in range(5):
            worker.stream.send(b"x" * 10)
            await worker.pass_pings(1)

        assert worker.given_up == 0
        delivering.cancel()


async def test_a_worker_that_takes_one_item_after_the_other_is_kept() -> None:
    with watched() as worker:
        for _ in range(5):
            await worker.write(10)
            await worker.pass_pings(1)

        assert worker.given_up == 0


async def test_a_worker_without_work_is_kept() -> None:
    with watched() as worker:
        await worker.pass_pings(5)

        assert worker.given_up == 0
