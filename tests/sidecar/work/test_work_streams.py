"""A worker's items reach it in order, once, and as soon as it can take them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar.work.streams import Subscription, WorkStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence


class Receiver:
    """Takes items, at once or when it is told to."""

    def __init__(self) -> None:
        self.stream = WorkStream(Subscription("default"))
        self.batches: list[list[bytes]] = []
        self.is_slow = False
        self.error: Exception | None = None
        self._taking: asyncio.Future[None] | None = None
        self.delivering = asyncio.create_task(self.stream.deliver(self._receive))

    def _receive(self, batch: Sequence[bytes]) -> Awaitable[None] | None:
        if self.error is not None:
            raise self.error
        self.batches.append(list(batch))
        if not self.is_slow:
            return None
        self._taking = asyncio.get_running_loop().create_future()
        return self._taking

    async def take(self) -> None:
        """Have taken the last batch."""
        assert self._taking is not None
        self._taking.set_result(None)
        await rounds()


async def rounds() -> None:
    """Let the loop do all it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def receiver() -> Receiver:
    made = Receiver()
    await rounds()
    return made


async def test_items_are_received_before_the_event_loop_goes_on() -> None:
    worker = await receiver()

    worker.stream.send(b"1", b"2")
    worker.stream.send(b"3")

    assert worker.batches == [[b"1", b"2"], [b"3"]]
    assert worker.stream.written == 3
    assert worker.stream.writing == 0


async def test_items_that_were_sent_before_are_received_first() -> None:
    worker = Receiver()
    worker.stream.send(b"1")

    await rounds()
    worker.stream.send(b"2")

    assert worker.batches == [[b"1"], [b"2"]]


async def test_items_gather_while_the_last_ones_are_being_taken() -> None:
    worker = await receiver()
    worker.is_slow = True
    worker.stream.send(b"1", b"22")
    worker.stream.send(b"3")
    await rounds()
    worker.stream.send(b"4")
    meanwhile = (list(worker.batches), worker.stream.writing, worker.stream.written)

    await worker.take()

    assert meanwhile == ([[b"1", b"22"]], 3, 0)
    assert worker.batches == [[b"1", b"22"], [b"3", b"4"]]
    assert worker.stream.written == 2


async def test_what_the_receiver_raises_ends_the_delivery_and_does_not_reach_the_sender() -> None:
    worker = await receiver()
    worker.error = RuntimeError("not admitted any more")

    worker.stream.send(b"1")

    with pytest.raises(RuntimeError, match="not admitted"):
        await worker.delivering


async def test_the_delivery_ends_when_the_stream_is_closed() -> None:
    worker = await receiver()

    worker.stream.close()
    worker.stream.send(b"1")
    await worker.delivering

    assert worker.batches == []


async def test_nothing_is_received_after_the_delivery_was_cancelled() -> None:
    worker = await receiver()

    worker.delivering.cancel()
    await rounds()
    worker.stream.send(b"1")

    assert worker.batches == []
