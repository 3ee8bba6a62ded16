"""What becomes of work items when the slots stop admitting them, and when they are closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from durabletask.worker._slots import Slots
from durabletask.worker._work_items import Completion
from tests.builders.slots import CountingDelivery, Job, ScriptedHandler, SlotsHarness, item
from tests.builders.worker import settle

if TYPE_CHECKING:
    from durabletask.worker._delivery import Answered


async def test_what_has_not_begun_is_dropped_by_stop_admitting() -> None:
    harness = SlotsHarness(limit=3, threads=1)
    began, may_end = threading.Event(), threading.Event()

    def hold(_token: str) -> None:
        began.set()
        may_end.wait(10)

    harness.handler.on_thread = hold
    await harness.put(*range(6))
    await asyncio.to_thread(began.wait, 10)

    harness.slots.stop_admitting()
    await harness.put("late")
    may_end.set()
    await harness.idle()

    assert harness.completions == [("CompleteActivityTask", "0")]
    harness.slots.close()


async def test_a_reader_that_waits_for_room_is_released_by_stop_admitting(
    harness: SlotsHarness,
) -> None:
    forever = asyncio.Event()
    harness.handler.on_loop = lambda _token: forever.wait()
    putting = asyncio.create_task(harness.put(*(f"a{n}" for n in range(9))))
    await settle()

    harness.slots.stop_admitting()

    await asyncio.wait_for(putting, 10)
    assert harness.handler.prepared == ["a0", "a1"]


async def test_closing_cancels_what_is_awaited(harness: SlotsHarness) -> None:
    ended: list[str] = []

    async def wait_for_ever(token: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(token)

    harness.handler.on_loop = wait_for_ever
    await harness.put("a")
    await settle()

    harness.slots.close()
    await harness.slots.wait_closed()

    assert ended == ["a"]
    assert harness.completions == []


async def test_what_goes_on_in_spite_of_closing_is_not_completed(harness: SlotsHarness) -> None:
    async def cling(token: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    harness.handler.on_loop = cling
    await harness.put("a")
    await settle()

    harness.slots.close()
    await harness.slots.wait_closed()
    await settle()

    assert harness.completions == []


async def test_close_begins_no_item_that_waited() -> None:
    harness = SlotsHarness(limit=1)
    harness.may_deliver.clear()
    await harness.put("0", "1")
    await asyncio.wait_for(harness.deliveries.acquire(), 10)

    harness.slots.close()
    await settle()

    assert harness.handler.prepared == ["0"]


class EagerDelivery(CountingDelivery):
    """Remembers what it is sent in batches, and answers nothing."""

    def send(self, completion: Completion, answered: Answered) -> bool:
        self.tokens.append(completion.request)
        return True


@pytest.mark.parametrize("token", ["b", "c"], ids=["to be awaited", "done"])
async def test_what_a_thread_finishes_after_the_close_is_neither_awaited_nor_sent_nor_finished(
    token: str,
) -> None:
    handler, delivery, awaited = ScriptedHandler(), EagerDelivery(), list[str]()
    began, may_end = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def hold(_token: str) -> None:
        threads.append(threading.current_thread())
        began.set()
        may_end.wait(10)

    async def on_loop(token: str) -> None:
        awaited.append(token)

    handler.on_thread, handler.on_loop = hold, on_loop
    slots: Slots[Job] = Slots(
        "test", handler, limit=1, threads=1, delivery=delivery, log=logging.getLogger("test")
    )
    slots.take([item(token)])
    await asyncio.to_thread(began.wait, 10)

    slots.close()
    may_end.set()
    await asyncio.to_thread(threads[0].join, 10)
    await settle()

    assert (awaited, delivery.tokens, handler.finished) == ([], [], [])
    delivery.close()
